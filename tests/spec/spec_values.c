/*
 * Values as wast2json writes them: bits in decimal, "nan:canonical", "nan:arithmetic", "null", or the number that an
 * opaque host reference stands for.
 */
#include "tests/spec/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    char letter;
} types[] = {{"i32", 'i'}, {"i64", 'I'}, {"f32", 'f'}, {"f64", 'F'}, {"funcref", 'r'}, {"externref", 'e'}};

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

bool spec_value_parse(json_t *json, char *ret_letter, union tf_test_value *ret_value)
{
    const char *const text = json_string_value(json_object_get(json, "value"));
    char const letter = letter_of(json);
    uint64_t number = 0;
    memset(ret_value, 0, sizeof(*ret_value));
    *ret_letter = letter;
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
