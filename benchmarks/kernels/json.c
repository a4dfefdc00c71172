/* Writes a JSON text, then parses it into a tree by recursive descent and sums the tree up. */
#define KERNEL_ARENA_BYTES (24 << 20)
#include "kernel.h"

enum kind { NOTHING, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT };

struct value {
    enum kind kind;
    struct value *next, *first; /* siblings; children */
    const char *name, *text;
    int name_length, length;
    double number;
};

static char source[2 << 20];
static int source_length;
static const char *at;

static void put(const char *text)
{
    while (*text != 0)
        source[source_length++] = *text++;
}

static void put_number(uint32_t number)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        source[source_length++] = digits[--count];
}

static void write_source(void)
{
    uint32_t random = kernel_seed;
    source_length = 0;
    put("[");
    for (int i = 0; i < 6000; i++) {
        put(i != 0 ? ",\n  {\"id\": " : "\n  {\"id\": ");
        put_number(next_random(&random));
        put(", \"name\": \"user \\\"");
        put_number((uint32_t)i);
        put("\\\" \\u00e9\", \"active\": ");
        put(next_random(&random) & 1 ? "true" : "false");
        put(", \"scores\": [");
        for (uint32_t k = 0; k < 4; k++) {
            put(k != 0 ? ", -" : "");
            put_number(next_random(&random) % 1000);
            put(".");
            put_number(next_random(&random) % 100);
            put("e2");
        }
        put("], \"more\": {\"none\": null, \"empty\": [], \"deep\": {\"x\": [[1], [2, [3]]]}}}");
    }
    put("]");
    source[source_length] = 0;
}

static void skip(void)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
}

static const char *parse_string(int *ret_length)
{
    char *const text = (char *)arena + arena_used, *to = text;
    at++;
    while (*at != '"' && *at != 0) {
        if (*at != '\\') {
            *to++ = *at++;
        } else if (at[1] == 'u') {
            uint32_t code = 0;
            for (int i = 2; i < 6; i++)
                code = code * 16 + (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 32) - 'a' + 10);
            *to++ = (char)(0xc0 | code >> 6);
            *to++ = (char)(0x80 | (code & 63));
            at += 6;
        } else {
            *to++ = at[1] == 'n' ? '\n' : at[1] == 't' ? '\t' : at[1];
            at += 2;
        }
    }
    at++;
    *ret_length = (int)(to - text);
    allocate((size_t)*ret_length);
    return text;
}

static double parse_number(void)
{
    double number = 0, scale = 1;
    int const is_negative = *at == '-';
    at += is_negative;
    while (*at >= '0' && *at <= '9')
        number = number * 10 + (*at++ - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++)
            number += (*at - '0') * (scale /= 10);
    if (*at == 'e') {
        int exponent = 0;
        for (at++; *at >= '0' && *at <= '9'; at++)
            exponent = exponent * 10 + (*at - '0');
        while (exponent-- > 0)
            number *= 10;
    }
    return is_negative ? -number : number;
}

static struct value *parse(void)
{
    struct value *const value = allocate(sizeof(*value));
    memset(value, 0, sizeof(*value));
    skip();
    switch (*at) {
    case '{':
    case '[': {
        char const close = *at == '{' ? '}' : ']';
        struct value **last = &value->first;
        value->kind = *at == '{' ? OBJECT : ARRAY;
        at++;
        for (skip(); *at != close && *at != 0; skip()) {
            const char *name = NULL;
            int length = 0;
            if (value->kind == OBJECT) {
                name = parse_string(&length);
                skip();
                at++; /* : */
            }
            struct value *const child = parse();
            child->name = name;
            child->name_length = length;
            *last = child;
            last = &child->next;
            skip();
            at += *at == ',';
        }
        at++;
        break;
    }
    case '"':
        value->kind = STRING;
        value->text = parse_string(&value->length);
        break;
    case 't':
    case 'f':
        value->kind = BOOLEAN;
        value->number = *at == 't';
        at += *at == 't' ? 4 : 5;
        break;
    case 'n':
        at += 4;
        break;
    default:
        value->kind = NUMBER;
        value->number = parse_number();
    }
    return value;
}

static uint64_t sum_up(const struct value *value)
{
    uint64_t sum = value->kind;
    for (int i = 0; i < value->name_length; i++)
        sum = mix(sum, (uint8_t)value->name[i]);
    for (int i = 0; i < value->length; i++)
        sum = mix(sum, (uint8_t)value->text[i]);
    sum = mix(sum, (uint64_t)(int64_t)(value->number + 0.5));
    for (const struct value *child = value->first; child != NULL; child = child->next)
        sum = mix(sum, sum_up(child));
    return sum;
}

uint64_t kernel(void)
{
    uint64_t sum = 0;
    write_source();
    for (int turn = 0; turn < 12; turn++) {
        arena_used = 0;
        at = source;
        sum = mix(sum, sum_up(parse()));
    }
    return sum;
}
