/*
 * A manifest as JSON.
 *
 * There is exactly one spelling: reading parses, writes again, and compares every byte. The last field is the SHA-256
 * of the text without it, so that a flipped digit anywhere is noticed although it would still be good JSON. It protects
 * against accidents, not against whoever may write the cache.
 */
#include "cache/internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/error.h"
#include "base/hash.h"
#include <terrafirma/limits.h>

#define FORMAT 1
#define NUMBERS_PER_FUNCTION 3
#define ROWS_HEX_BYTES (2 * sizeof(((struct tf_manifest *)0)->rows) + 1)

/* The number fields, in the order of the text: name, largest value. */
#define NUMBER_FIELDS(X)                                                                                               \
    X(abi_version, UINT32_MAX)                                                                                         \
    X(cpu_level, UINT32_MAX)                                                                                           \
    X(world, UINT32_MAX)                                                                                               \
    X(flags, UINT32_MAX)                                                                                               \
    X(object_bytes, INT64_MAX)                                                                                         \
    X(image_bytes, INT64_MAX)                                                                                          \
    X(memory_pages_min, INT64_MAX)                                                                                     \
    X(memory_pages_max, INT64_MAX)                                                                                     \
    X(canonical_bytes, INT64_MAX)

#define STRING_FIELDS(X)                                                                                               \
    X(key)                                                                                                             \
    X(object_sha256)                                                                                                   \
    X(image_sha256)                                                                                                    \
    X(toolchain)

int tf_manifest_check(const struct tf_manifest *manifest, struct tf_error *error)
{
    const char *wrong = NULL;
    if (!tf_hash_is_hex(manifest->key))
        wrong = "its key is not a hash";
    else if (!tf_hash_is_hex(manifest->object_sha256))
        wrong = "its object has no hash";
    else if (manifest->image_bytes == 0 ? manifest->image_sha256[0] != '\0' : !tf_hash_is_hex(manifest->image_sha256))
        wrong = "its image and the image's hash do not agree";
    else if (manifest->object_bytes == 0 || manifest->object_bytes > TF_CACHE_OBJECT_MOST_BYTES)
        wrong = "its object has an impossible size";
    else if (manifest->image_bytes % TF_HOST_PAGE_BYTES != 0 || manifest->image_bytes > TF_CACHE_IMAGE_MOST_BYTES)
        wrong = "its image has an impossible size";
    else if (memchr(manifest->toolchain, '\0', sizeof(manifest->toolchain)) == NULL)
        wrong = "its toolchain text has no end";
    else if (manifest->function_count > 0 && manifest->functions == NULL)
        wrong = "its functions are missing";
    for (uint32_t i = 1; wrong == NULL && i < manifest->function_count; i++) {
        if (manifest->functions[i].text_offset < manifest->functions[i - 1].text_offset)
            wrong = "its functions are out of order";
    }
    if (wrong != NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "manifest: %s", wrong);
    return 0;
}

/* ---- writing ---- */

static void rows_to_hex(const struct tf_manifest *manifest, char ret_hex[ROWS_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(manifest->rows); i++) {
        ret_hex[2 * i] = digits[manifest->rows[i] >> 4];
        ret_hex[2 * i + 1] = digits[manifest->rows[i] & 15];
    }
    ret_hex[2 * sizeof(manifest->rows)] = '\0';
}

static json_t *functions_to_json(const struct tf_manifest *manifest)
{
    json_t *const list = json_array();
    int failed = list == NULL;
    for (uint32_t i = 0; !failed && i < manifest->function_count; i++) {
        const struct tf_manifest_function *const function = &manifest->functions[i];
        failed |= json_array_append_new(list, json_integer((json_int_t)function->text_offset));
        failed |= json_array_append_new(list, json_integer(function->text_bytes));
        failed |= json_array_append_new(list, json_integer(function->index));
    }
    if (failed) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *manifest_to_json(const struct tf_manifest *manifest)
{
    json_t *const object = json_object();
    if (object == NULL)
        return NULL;
    char rows[ROWS_HEX_BYTES];
    rows_to_hex(manifest, rows);
    int failed = json_object_set_new(object, "format", json_integer(FORMAT));
#define X(name, most) failed |= json_object_set_new(object, #name, json_integer((json_int_t)manifest->name));
    NUMBER_FIELDS(X)
#undef X
#define X(name) failed |= json_object_set_new(object, #name, json_string(manifest->name));
    STRING_FIELDS(X)
#undef X
    failed |= json_object_set_new(object, "rows", json_string(rows));
    failed |= json_object_set_new(object, "functions", functions_to_json(manifest));
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int append_to_buffer(const char *bytes, size_t length, void *buffer)
{
    return tf_buffer_append(buffer, bytes, length);
}

/* Appends the text without the newline at its end. */
static int dump(const json_t *object, struct tf_buffer *text)
{
    return json_dump_callback(object, append_to_buffer, text, JSON_COMPACT | JSON_ENSURE_ASCII);
}

static int numbers_fit(const struct tf_manifest *manifest)
{
    int fit = 1;
#define X(name, most) fit &= manifest->name <= (uint64_t)(most);
    NUMBER_FIELDS(X)
#undef X
    for (uint32_t i = 0; i < manifest->function_count; i++)
        fit &= manifest->functions[i].text_offset <= (uint64_t)INT64_MAX;
    return fit;
}

int tf_manifest_write(const struct tf_manifest *manifest, struct tf_buffer *json, struct tf_error *error)
{
    int result = tf_manifest_check(manifest, error);
    if (result != 0)
        return result;
    if (!numbers_fit(manifest))
        return tf_error_set(error, TF_ERR_CORRUPT, "manifest: a number is too large");
    json_t *const object = manifest_to_json(manifest);
    /* json_string refuses what is not UTF-8, so a bad toolchain text ends here too. */
    if (object == NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "manifest: a text is not UTF-8, or no memory");
    struct tf_buffer text;
    tf_buffer_init(&text, TF_MANIFEST_MOST_BYTES);
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    int failed = dump(object, &text) != 0;
    if (!failed) {
        tf_hash_bytes(text.bytes, text.length, digest);
        tf_hash_hex(digest, hex);
        tf_buffer_clear(&text);
        failed = json_object_set_new(object, "sha256", json_string(hex)) != 0 || dump(object, &text) != 0 ||
                 tf_buffer_append_byte(&text, '\n') != 0 || tf_buffer_append(json, text.bytes, text.length) != 0;
    }
    if (failed)
        result = tf_error_set(error, TF_ERR_LIMIT, "manifest: its text does not fit into %zu bytes", text.maximum);
    tf_buffer_dispose(&text);
    json_decref(object);
    return result;
}

/* ---- reading ---- */

static bool read_number(const json_t *object, const char *name, uint64_t most, uint64_t *ret_value)
{
    const json_t *const value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > most)
        return false;
    *ret_value = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_string(const json_t *object, const char *name, char *ret_text, size_t bytes)
{
    const json_t *const value = json_object_get(object, name);
    if (!json_is_string(value) || json_string_length(value) >= bytes)
        return false;
    memcpy(ret_text, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_rows(const json_t *object, struct tf_manifest *manifest)
{
    char hex[ROWS_HEX_BYTES];
    if (!read_string(object, "rows", hex, sizeof(hex)) || strlen(hex) != sizeof(hex) - 1)
        return false;
    for (size_t i = 0; i < sizeof(manifest->rows); i++) {
        int const high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        manifest->rows[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_functions(const json_t *object, struct tf_manifest *manifest)
{
    const json_t *const list = json_object_get(object, "functions");
    if (!json_is_array(list) || json_array_size(list) % NUMBERS_PER_FUNCTION != 0)
        return false;
    size_t const count = json_array_size(list) / NUMBERS_PER_FUNCTION;
    if (count == 0)
        return true;
    manifest->functions = calloc(count, sizeof(*manifest->functions));
    if (manifest->functions == NULL)
        return false;
    manifest->function_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        json_int_t numbers[NUMBERS_PER_FUNCTION];
        for (size_t n = 0; n < NUMBERS_PER_FUNCTION; n++) {
            const json_t *const value = json_array_get(list, i * NUMBERS_PER_FUNCTION + n);
            if (!json_is_integer(value) || json_integer_value(value) < 0)
                return false;
            numbers[n] = json_integer_value(value);
        }
        if (numbers[1] > UINT32_MAX || numbers[2] > UINT32_MAX)
            return false;
        manifest->functions[i] = (struct tf_manifest_function){
            .text_offset = (uint64_t)numbers[0],
            .text_bytes = (uint32_t)numbers[1],
            .index = (uint32_t)numbers[2],
        };
    }
    return true;
}

static bool read_fields(const json_t *object, struct tf_manifest *manifest)
{
    uint64_t number;
    if (!read_number(object, "format", FORMAT, &number) || number != FORMAT)
        return false;
#define X(name, most)                                                                                                  \
    if (!read_number(object, #name, (uint64_t)(most), &number))                                                        \
        return false;                                                                                                  \
    manifest->name = (__typeof__(manifest->name))number;
    NUMBER_FIELDS(X)
#undef X
#define X(name)                                                                                                        \
    if (!read_string(object, #name, manifest->name, sizeof(manifest->name)))                                           \
        return false;
    STRING_FIELDS(X)
#undef X
    return read_rows(object, manifest) && read_functions(object, manifest);
}

static bool is_canonical(const struct tf_manifest *manifest, const char *json, size_t length)
{
    struct tf_buffer again;
    tf_buffer_init(&again, TF_MANIFEST_MOST_BYTES);
    bool const same = tf_manifest_write(manifest, &again, NULL) == 0 && again.length == length &&
                      memcmp(again.bytes, json, length) == 0;
    tf_buffer_dispose(&again);
    return same;
}

int tf_manifest_parse(const char *json, size_t length, struct tf_manifest *ret_manifest, struct tf_error *error)
{
    if (length > TF_MANIFEST_MOST_BYTES)
        return tf_error_set(error, TF_ERR_CORRUPT, "manifest: larger than %zu bytes", TF_MANIFEST_MOST_BYTES);
    json_error_t where;
    json_t *const object = json_loadb(json, length, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "manifest, line %d: %s", where.line, where.text);
    struct tf_manifest manifest = {0};
    int result = 0;
    if (!read_fields(object, &manifest))
        result = tf_error_set(error, TF_ERR_CORRUPT, "manifest: a field is missing or malformed");
    json_decref(object);
    if (result == 0)
        result = tf_manifest_check(&manifest, error);
    if (result == 0 && !is_canonical(&manifest, json, length))
        result = tf_error_set(error, TF_ERR_CORRUPT, "manifest: its bytes do not match its hash");
    if (result != 0) {
        tf_manifest_dispose(&manifest);
        return result;
    }
    *ret_manifest = manifest;
    return 0;
}

void tf_manifest_dispose(struct tf_manifest *manifest)
{
    free(manifest->functions);
    *manifest = (struct tf_manifest){0};
}
