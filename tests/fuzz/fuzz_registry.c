/* Any bytes as what a registry may say: manifests, lists, tokens, challenges, places. The first byte says which. */
#include "fuzz.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "services/registry_http.h"
#include "services/registry_json.h"

static void parcel(const char *json, size_t length)
{
    struct tf_registry_item item, again;
    struct tf_buffer text;
    if (tf_registry_parse_parcel(json, length, &item, NULL) != 0)
        return;
    fuzz_require(tf_hash_is_hex(item.key) && tf_hash_is_hex(item.blob) && strlen(item.sum) == 32 && item.blob_bytes > 0,
                 "a parcel that makes no sense");
    tf_buffer_init(&text, TF_REGISTRY_MANIFEST_MOST);
    fuzz_require(tf_registry_write_parcel(&item, &text, NULL) == 0 &&
                     tf_registry_parse_parcel((const char *)text.bytes, text.length, &again, NULL) == 0 &&
                     memcmp(&item, &again, sizeof(item)) == 0,
                 "a parcel that is not what it was when written");
    tf_buffer_dispose(&text);
}

static void list(const char *json, size_t length, enum tf_registry_level level)
{
    struct tf_registry_item *items;
    size_t count;
    if (tf_registry_parse_index(json, length, level, &items, &count, NULL) != 0)
        return;
    fuzz_require(count <= TF_REGISTRY_PAGE_ITEMS, "a long list");
    for (size_t i = 0; i < count; i++)
        fuzz_require(tf_hash_is_hex(items[i].manifest) && items[i].manifest_bytes <= TF_REGISTRY_MANIFEST_MOST &&
                         (level == TF_REGISTRY_OF_PAGES || tf_hash_is_hex(items[i].key)),
                     "an item that makes no sense");
    free(items);
}

static void token(const char *json, size_t length)
{
    char text[TF_REGISTRY_SECRET_BYTES];
    if (tf_registry_parse_token(json, length, text, NULL) == 0)
        fuzz_require(text[0] != '\0' && strpbrk(text, " \r\n\t") == NULL, "a token that is two");
}

static void challenge(const char *text, size_t length)
{
    static struct tf_registry_exchange exchange;
    char value[64];
    exchange.bearer[0] = '\0';
    tf_registry_note_challenge(&exchange, text, length);
    fuzz_require(strlen(exchange.bearer) < sizeof(exchange.bearer), "a challenge that is too long");
    if (tf_registry_challenge_get(exchange.bearer, "realm", value, sizeof(value)))
        fuzz_require(strlen(value) < sizeof(value), "a realm that is too long");
}

static void place(const char *bytes, size_t length)
{
    struct tf_registry_place found;
    const char *why = NULL;
    char *const text = strndup(bytes, length);
    if (tf_registry_read_place(text, &found, &why))
        fuzz_require(found.host[0] != '\0' && found.repository[0] != '\0' && found.tag[0] != '\0' &&
                         strpbrk(found.repository, ":?#@% ") == NULL && strstr(found.repository, "..") == NULL &&
                         strpbrk(found.host, "/?#@% ") == NULL,
                     "a place that is none");
    else
        fuzz_require(why != NULL, "no reason");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return 0;
    const char *const rest = (const char *)bytes + 1;
    switch (bytes[0]) {
    case 'p':
        parcel(rest, length - 1);
        break;
    case 'l':
        list(rest, length - 1, TF_REGISTRY_OF_PAGES);
        break;
    case 'i':
        list(rest, length - 1, TF_REGISTRY_OF_PARCELS);
        break;
    case 't':
        token(rest, length - 1);
        break;
    case 'c':
        challenge(rest, length - 1);
        break;
    default:
        place(rest, length - 1);
        break;
    }
    return 0;
}
