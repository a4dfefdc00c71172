/*
 * Values as wast2json writes them: bits in decimal, "nan:canonical", "nan:arithmetic", "null", or the number that an
 * opaque host reference stands for. A vector is an array of those, a lane each.
 */
#include "tests/spec/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    char letter;
} types[] = {
    {"i32", 'i'}, {"i64", 'I'}, {"f32", 'f'}, {"f64", 'F'}, {"v128", 'V'}, {"funcref", 'r'}, {"externref", 'e'},
};

static char letter_of(json_t *json)
{
    const char *const name = json_string_value(json_object_get(json, "type"));
    for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].letter;
    return 0;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return end != text && *end == 0;
}

/* A host reference is never null, its number may be 0. */
static void *reference_of(uint64_t number)
{
    return (void *)(uintptr_t)(number + 1);
}

/* Bytes of a lane by its type's name, 0: none that we know. `ret_letter`: of a float's NaNs, else 0. */
static size_t lane_bytes(const char *type, char *ret_letter)
{
    static const struct {
        const char *name;
        size_t bytes;
        char letter;
    } lanes[] = {{"i8", 1, 0}, {"i16", 2, 0}, {"i32", 4, 0}, {"i64", 8, 0}, {"f32", 4, 'f'}, {"f64", 8, 'F'}};
    for (size_t i = 0; type != NULL && i < sizeof(lanes) / sizeof(lanes[0]); i++) {
        if (strcmp(lanes[i].name, type) == 0) {
            *ret_letter = lanes[i].letter;
            return lanes[i].bytes;
        }
    }
    return 0;
}

/* The lanes of a JSON vector: NULL, or as many as fill it. */
static json_t *find_lanes(json_t *json, size_t *ret_bytes, char *ret_letter)
{
    json_t *const lanes = json_object_get(json, "value");
    *ret_bytes = lane_bytes(json_string_value(json_object_get(json, "lane_type")), ret_letter);
    return *ret_bytes != 0 && json_array_size(lanes) * *ret_bytes == 16 ? lanes : NULL;
}

static bool parse_vector(json_t *json, union tf_test_value *ret_value)
{
    size_t bytes, i;
    char letter;
    json_t *lane;
    json_t *const lanes = find_lanes(json, &bytes, &letter);
    json_array_foreach(lanes, i, lane) {
        uint64_t number;
        if (json_string_value(lane) == NULL || !parse_number(json_string_value(lane), &number))
            return false;
        memcpy(ret_value->v128 + i * bytes, &number, bytes);
    }
    return lanes != NULL;
}

bool spec_value_parse(json_t *json, char *ret_letter, union tf_test_value *ret_value)
{
    const char *const text = json_string_value(json_object_get(json, "value"));
    char const letter = letter_of(json);
    uint64_t number = 0;
    memset(ret_value, 0, sizeof(*ret_value));
    *ret_letter = letter;
    if (letter == 'V')
        return parse_vector(json, ret_value);
    if (letter == 0 || text == NULL)
        return false;
    if (letter == 'r' || letter == 'e') {
        if (strcmp(text, "null") == 0)
            return true;
        if (letter == 'r' || !parse_number(text, &number))
            return false;
        ret_value->externref = reference_of(number);
        return true;
    }
    if (!parse_number(text, &number))
        return false;
    if (letter == 'i' || letter == 'f')
        ret_value->i32 = (uint32_t)number;
    else
        ret_value->i64 = number;
    return true;
}

/* Canonical: the quiet bit and no other. Arithmetic: the quiet bit at least. The sign is free in both. */
static bool is_nan(char letter, bool is_canonical, uint64_t bits)
{
    uint64_t const quiet = letter == 'f' ? 0x7fc00000u : 0x7ff8000000000000ull;
    uint64_t const sign = letter == 'f' ? 0x80000000u : 1ull << 63;
    return is_canonical ? (bits & ~sign) == quiet : (bits & quiet) == quiet;
}

static bool reference_matches(const char *text, char letter, const union tf_test_value *value)
{
    static const uint8_t zeroes[TF_ABI_FUNCREF_BYTES];
    uint64_t number;
    bool const is_null =
        letter == 'r' ? memcmp(value->funcref, zeroes, sizeof(zeroes)) == 0 : value->externref == NULL;
    if (text == NULL) /* any that is not null */
        return !is_null;
    if (strcmp(text, "null") == 0)
        return is_null;
    return letter == 'e' && parse_number(text, &number) && value->externref == reference_of(number);
}

static bool vector_matches(json_t *expected, const union tf_test_value *value, char *text, size_t text_bytes)
{
    size_t bytes, i;
    char letter = 0;
    json_t *lane;
    json_t *const lanes = find_lanes(expected, &bytes, &letter);
    snprintf(text, text_bytes, "no vector was expected");
    json_array_foreach(lanes, i, lane) {
        const char *const wanted = json_string_value(lane);
        uint64_t bits = 0, number;
        memcpy(&bits, value->v128 + i * bytes, bytes);
        snprintf(text, text_bytes, "lane %zu: got 0x%" PRIx64 ", expected %s", i, bits, wanted != NULL ? wanted : "?");
        if (wanted == NULL)
            return false;
        if (letter != 0 && strncmp(wanted, "nan:", 4) == 0) {
            if (!is_nan(letter, strcmp(wanted, "nan:canonical") == 0, bits))
                return false;
        } else if (!parse_number(wanted, &number) || number != bits) {
            return false;
        }
    }
    return lanes != NULL;
}

bool spec_value_matches(json_t *expected, char letter, const union tf_test_value *value, char *text, size_t text_bytes)
{
    const char *const wanted = json_string_value(json_object_get(expected, "value"));
    char const wanted_letter = letter_of(expected);
    uint64_t const bits = letter == 'i' || letter == 'f' ? value->i32 : value->i64;
    uint64_t number;
    snprintf(text, text_bytes, "got %c:%" PRIu64 " (0x%" PRIx64 "), expected %c:%s", letter, bits, bits,
             wanted_letter != 0 ? wanted_letter : '?', wanted != NULL ? wanted : "(any)");
    if (letter != wanted_letter)
        return false;
    if (letter == 'V')
        return vector_matches(expected, value, text, text_bytes);
    if (letter == 'r' || letter == 'e')
        return reference_matches(wanted, letter, value);
    if (wanted == NULL)
        return false;
    if ((letter == 'f' || letter == 'F') && strncmp(wanted, "nan:", 4) == 0)
        return is_nan(letter, strcmp(wanted, "nan:canonical") == 0, bits);
    return parse_number(wanted, &number) && number == bits;
}

bool spec_trap_matches(const char *text, enum tf_trap trap)
{
    static const struct {
        const char *text;
        enum tf_trap trap;
    } kinds[] = {
        {"unreachable", TF_TRAP_UNREACHABLE},
        {"out of bounds memory access", TF_TRAP_OUT_OF_BOUNDS},
        {"out of bounds table access", TF_TRAP_OUT_OF_BOUNDS},
        {"undefined element", TF_TRAP_OUT_OF_BOUNDS},
        {"uninitialized element", TF_TRAP_CALL_INDIRECT},
        {"indirect call type mismatch", TF_TRAP_CALL_INDIRECT},
        {"integer divide by zero", TF_TRAP_DIVIDE_BY_ZERO},
        {"integer overflow", TF_TRAP_INTEGER_OVERFLOW},
        {"invalid conversion to integer", TF_TRAP_INVALID_CONVERSION},
        {"call stack exhausted", TF_TRAP_STACK_EXHAUSTED},
    };
    /* A text may go on with a number ("uninitialized element 2"). */
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(kinds[i].text, text, strlen(kinds[i].text)) == 0)
            return kinds[i].trap == trap;
    return false;
}
