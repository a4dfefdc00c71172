#include "services/registry_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

#define DIGEST_PREFIX "sha256:"
#define DIGEST_BYTES (sizeof(DIGEST_PREFIX) - 1 + TF_REGISTRY_HASH_BYTES)

/* ---- writing ---- */

static json_t *descriptor(const char *type, const char *sha256, uint64_t bytes)
{
    return json_pack("{s:s, s:s+, s:I}", "mediaType", type, "digest", DIGEST_PREFIX, sha256, "size",
                     (json_int_t)bytes);
}

static json_t *annotations(const struct tf_registry_item *item)
{
    return json_pack("{s:s, s:s}", TF_REGISTRY_KEY, item->key, TF_REGISTRY_SUM, item->sum);
}

static int append(const char *bytes, size_t length, void *context)
{
    return tf_buffer_append(context, bytes, length);
}

/* Takes the document. The same items give the same bytes. */
static int dump(json_t *document, struct tf_buffer *json, struct tf_error *error)
{
    int const failed = document == NULL || json_dump_callback(document, append, json, JSON_COMPACT) != 0;
    json_decref(document);
    return failed ? tf_error_set(error, TF_ERR_SYSTEM, "no memory for a manifest") : 0;
}

int tf_registry_write_parcel(const struct tf_registry_item *item, struct tf_buffer *json, struct tf_error *error)
{
    json_t *const config = descriptor("application/vnd.oci.empty.v1+json", TF_OCI_EMPTY_SHA256,
                                      sizeof(TF_OCI_EMPTY) - 1);
    json_t *const layer = descriptor(TF_REGISTRY_TYPE_BUNDLE, item->blob, item->blob_bytes);
    return dump(json_pack("{s:i, s:s, s:s, s:o, s:[o], s:o}", "schemaVersion", 2, "mediaType", TF_OCI_TYPE_MANIFEST,
                          "artifactType", TF_REGISTRY_TYPE_PARCEL, "config", config, "layers", layer, "annotations",
                          annotations(item)),
                json, error);
}

int tf_registry_write_index(const struct tf_registry_item *items, size_t count, enum tf_registry_level level,
                            struct tf_buffer *json, struct tf_error *error)
{
    bool const has_pages = level == TF_REGISTRY_OF_PAGES;
    json_t *const list = json_array();
    for (size_t i = 0; list != NULL && i < count; i++) {
        json_t *const entry = descriptor(has_pages ? TF_OCI_TYPE_INDEX : TF_OCI_TYPE_MANIFEST, items[i].manifest,
                                         items[i].manifest_bytes);
        if (entry != NULL && !has_pages) {
            json_object_set_new(entry, "artifactType", json_string(TF_REGISTRY_TYPE_PARCEL));
            json_object_set_new(entry, "annotations", annotations(&items[i]));
        }
        json_array_append_new(list, entry);
    }
    return dump(json_pack("{s:i, s:s, s:s, s:o}", "schemaVersion", 2, "mediaType", TF_OCI_TYPE_INDEX, "artifactType",
                          has_pages ? TF_REGISTRY_TYPE_LIST : TF_REGISTRY_TYPE_PAGE, "manifests", list),
                json, error);
}

/* ---- reading ---- */

static int odd(struct tf_error *error, const char *what)
{
    return tf_error_set(error, TF_ERR_CORRUPT, "the registry's manifest is %s", what);
}

static json_t *load(const char *json, size_t length)
{
    json_t *const document = json_loadb(json, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(document))
        return document;
    json_decref(document);
    return NULL;
}

static bool is_text(const json_t *object, const char *name, const char *wanted)
{
    const char *const text = json_string_value(json_object_get(object, name));
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool is_hex(const char *text, size_t digits)
{
    return text != NULL && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static bool read_descriptor(const json_t *object, const char *type, char ret_sha256[TF_REGISTRY_HASH_BYTES],
                            uint64_t *ret_bytes)
{
    const char *const digest = json_string_value(json_object_get(object, "digest"));
    const json_t *const size = json_object_get(object, "size");
    size_t const prefix = sizeof(DIGEST_PREFIX) - 1;
    if (!is_text(object, "mediaType", type) || digest == NULL || strncmp(digest, DIGEST_PREFIX, prefix) != 0 ||
        !tf_hash_is_hex(digest + prefix) || !json_is_integer(size) || json_integer_value(size) <= 0)
        return false;
    memcpy(ret_sha256, digest + prefix, TF_REGISTRY_HASH_BYTES);
    *ret_bytes = (uint64_t)json_integer_value(size);
    return true;
}

static bool read_annotations(const json_t *object, struct tf_registry_item *item)
{
    const json_t *const list = json_object_get(object, "annotations");
    const char *const key = json_string_value(json_object_get(list, TF_REGISTRY_KEY));
    const char *const sum = json_string_value(json_object_get(list, TF_REGISTRY_SUM));
    if (!is_hex(key, TF_REGISTRY_HASH_BYTES - 1) || !is_hex(sum, TF_REGISTRY_SUM_BYTES - 1))
        return false;
    memcpy(item->key, key, sizeof(item->key));
    memcpy(item->sum, sum, sizeof(item->sum));
    return true;
}

int tf_registry_parse_parcel(const char *json, size_t length, struct tf_registry_item *ret_item,
                             struct tf_error *error)
{
    struct tf_registry_item item = {0};
    json_t *const document = load(json, length);
    const json_t *const layers = json_object_get(document, "layers");
    int result = 0;
    if (document == NULL)
        result = odd(error, "no JSON object");
    else if (!is_text(document, "artifactType", TF_REGISTRY_TYPE_PARCEL))
        result = odd(error, "of something else than a compiled function");
    else if (json_array_size(layers) != 1 ||
             !read_descriptor(json_array_get(layers, 0), TF_REGISTRY_TYPE_BUNDLE, item.blob, &item.blob_bytes) ||
             !read_annotations(document, &item))
        result = odd(error, "of another form than a compiled function's");
    json_decref(document);
    if (result == 0)
        *ret_item = item;
    return result;
}

static int read_items(const json_t *list, enum tf_registry_level level, struct tf_registry_item *items,
                      struct tf_error *error)
{
    bool const has_pages = level == TF_REGISTRY_OF_PAGES;
    const char *const type = has_pages ? TF_OCI_TYPE_INDEX : TF_OCI_TYPE_MANIFEST;
    size_t const count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        const json_t *const entry = json_array_get(list, i);
        if (!read_descriptor(entry, type, items[i].manifest, &items[i].manifest_bytes) ||
            items[i].manifest_bytes > TF_REGISTRY_MANIFEST_MOST || (!has_pages && !read_annotations(entry, &items[i])))
            return odd(error, "of another form than a list of compiled functions");
    }
    return 0;
}

int tf_registry_parse_index(const char *json, size_t length, enum tf_registry_level level,
                            struct tf_registry_item **ret_items, size_t *ret_count, struct tf_error *error)
{
    bool const has_pages = level == TF_REGISTRY_OF_PAGES;
    json_t *const document = load(json, length);
    const json_t *const list = json_object_get(document, "manifests");
    size_t const count = json_array_size(list);
    struct tf_registry_item *items = NULL;
    int result = 0;
    if (document == NULL)
        result = odd(error, "no JSON object");
    else if (!is_text(document, "artifactType", has_pages ? TF_REGISTRY_TYPE_LIST : TF_REGISTRY_TYPE_PAGE) ||
             !json_is_array(list))
        result = odd(error, "of something else than a cache");
    else if (count > (has_pages ? TF_REGISTRY_PAGES : TF_REGISTRY_PAGE_ITEMS))
        result = tf_error_set(error, TF_ERR_LIMIT, "the registry's list has %zu entries", count);
    else if ((items = calloc(count + 1, sizeof(*items))) == NULL)
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory for the registry's list");
    else
        result = read_items(list, level, items, error);
    json_decref(document);
    if (result != 0) {
        free(items);
        return result;
    }
    *ret_items = items;
    *ret_count = count;
    return 0;
}

int tf_registry_parse_token(const char *json, size_t length, char ret_token[TF_REGISTRY_SECRET_BYTES],
                            struct tf_error *error)
{
    json_t *const document = load(json, length);
    const char *token = json_string_value(json_object_get(document, "token"));
    if (token == NULL)
        token = json_string_value(json_object_get(document, "access_token"));
    size_t const bytes = token != NULL ? strlen(token) : 0;
    bool is_good = bytes > 0 && bytes < TF_REGISTRY_SECRET_BYTES;
    for (size_t i = 0; is_good && i < bytes; i++)
        is_good = token[i] > ' ' && token[i] < 0x7f;
    if (is_good)
        memcpy(ret_token, token, bytes + 1);
    json_decref(document);
    return is_good ? 0 : tf_error_set(error, TF_ERR_CORRUPT, "the token service gave no token");
}
