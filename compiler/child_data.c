/*
 * Large passive data. wasm2c writes each byte as six characters of C, which a compiler takes a minute and a gigabyte to
 * read back; the assembler copies a file of bytes in no time. The text is read here exactly as wasm2c writes it, so
 * that nothing but bytes gets from it into the file.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "compiler/child.h"

/* Smaller arrays stay C. */
#define DATA_BYTES_MIN 16384u

static const char definition[] = "const u8 data_segment_data_w2c_m_d";
static const char linkage[] = "static ";
static const char opening[] = "[] = {\n";
static const char closing[] = "};\n";

struct array {
    const uint8_t *begin, *end; /* of its definition in the text */
    uint32_t number;
};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool starts_with(const uint8_t *at, const uint8_t *end, const char *text)
{
    size_t const length = strlen(text);
    return (size_t)(end - at) >= length && memcmp(at, text, length) == 0;
}

/* "<number>[] = {", from its number. */
static bool parse_head(const uint8_t **at, const uint8_t *end, uint32_t *ret_number)
{
    const uint8_t *p = *at;
    uint64_t number = 0;
    while (p < end && *p >= '0' && *p <= '9' && number <= UINT32_MAX)
        number = number * 10 + (uint64_t)(*p++ - '0');
    if (p == *at || number > UINT32_MAX || !starts_with(p, end, opening))
        return false;
    *ret_number = (uint32_t)number;
    *at = p + strlen(opening);
    return true;
}

/* "0x12, 0x34, … };", appended to `bytes`. */
static bool parse_bytes(const uint8_t **at, const uint8_t *end, struct tf_buffer *bytes)
{
    for (const uint8_t *p = *at; end - p >= 3;) {
        if (*p == ' ' || *p == '\n') {
            p++;
            continue;
        }
        if (starts_with(p, end, closing)) {
            *at = p + strlen(closing);
            return !bytes->failed;
        }
        int const high = end - p >= 5 ? hex_digit(p[2]) : -1, low = end - p >= 5 ? hex_digit(p[3]) : -1;
        if (high < 0 || low < 0 || p[0] != '0' || p[1] != 'x' || p[4] != ',')
            return false;
        tf_buffer_append_byte(bytes, (uint8_t)(high << 4 | low));
        p += 5;
    }
    return false;
}

/* The next array from `at` on whose bytes are worth it; they are appended. False: there is none, or (*ret_is_broken)
 * the text is not as wasm2c writes it. */
static bool find_array(const uint8_t *at, const uint8_t *begin, const uint8_t *end, struct tf_buffer *bytes,
                       struct array *ret_array, bool *ret_is_broken)
{
    size_t const before = bytes->length;
    while ((at = memmem(at, (size_t)(end - at), definition, sizeof(definition) - 1)) != NULL) {
        const uint8_t *start = at;
        at += sizeof(definition) - 1;
        if (start - begin >= (ptrdiff_t)strlen(linkage) &&
            memcmp(start - strlen(linkage), linkage, strlen(linkage)) == 0)
            start -= strlen(linkage);
        if (start > begin && start[-1] != '\n')
            continue;
        *ret_is_broken = !parse_head(&at, end, &ret_array->number) || !parse_bytes(&at, end, bytes);
        if (*ret_is_broken)
            return false;
        ret_array->begin = start;
        ret_array->end = at;
        if (bytes->length - before >= DATA_BYTES_MIN)
            return true;
        bytes->length = before;
    }
    return false;
}

static void describe(const struct array *array, size_t offset, size_t length, struct tf_buffer *assembly,
                     struct tf_buffer *declarations)
{
    tf_buffer_printf(assembly,
                     "    .globl data_segment_data_w2c_m_d%" PRIu32 "\n    .hidden data_segment_data_w2c_m_d%" PRIu32
                     "\ndata_segment_data_w2c_m_d%" PRIu32 ":\n    .incbin \"data.bin\", %zu, %zu\n",
                     array->number, array->number, array->number, offset, length);
    tf_buffer_printf(declarations,
                     "extern const u8 __attribute__((visibility(\"hidden\"))) data_segment_data_w2c_m_d%" PRIu32
                     "[%zu];\n", array->number, length);
}

int tf_child_take_data(struct tf_buffer *text, struct tf_buffer *declarations, bool *ret_has_data,
                       struct tf_error *error)
{
    const uint8_t *at = text->bytes, *const end = text->bytes + text->length;
    uint8_t *to = text->bytes;
    struct tf_buffer bytes, assembly;
    struct array array;
    bool is_broken = false;
    int code = 0;
    tf_buffer_init(&bytes, text->length);
    tf_buffer_init(&assembly, text->length + 4096);
    tf_buffer_append_text(&assembly, "    .section .note.GNU-stack,\"\",@progbits\n    .section .rodata\n");
    for (size_t offset = 0; find_array(at, text->bytes, end, &bytes, &array, &is_broken); offset = bytes.length) {
        describe(&array, offset, bytes.length - offset, &assembly, declarations);
        memmove(to, at, (size_t)(array.begin - at));
        to += array.begin - at;
        at = array.end;
    }
    if (is_broken)
        code = tf_error_set(error, TF_ERR_AUDIT, "generated C: an array of data is not as wasm2c writes it");
    *ret_has_data = code == 0 && bytes.length != 0;
    if (*ret_has_data) {
        memmove(to, at, (size_t)(end - at));
        text->length = (size_t)(to - text->bytes) + (size_t)(end - at);
        code = tf_child_write("data.bin", bytes.bytes, bytes.length, error);
        if (code == 0 && (assembly.failed || declarations->failed))
            code = tf_error_set(error, TF_ERR_LIMIT, "generated C: too many arrays of data");
        if (code == 0)
            code = tf_child_write("data.s", assembly.bytes, assembly.length, error);
    }
    tf_buffer_dispose(&bytes);
    tf_buffer_dispose(&assembly);
    return code;
}
