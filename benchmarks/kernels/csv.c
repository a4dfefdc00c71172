/* Reads lines of numbers from a text and keeps count, sum and extremes of every column. */
#include "kernel.h"

#define LINES 20000
#define COLUMNS 8

static char text[LINES * COLUMNS * 9 + 1];

struct column {
    int64_t sum, least, most;
    uint32_t count;
};

static int64_t parse_line(const char **ret_at, struct column columns[COLUMNS])
{
    const char *at = *ret_at;
    for (int i = 0; i < COLUMNS; i++) {
        int64_t number = 0;
        int const is_negative = *at == '-';
        if (is_negative)
            at++;
        while (*at >= '0' && *at <= '9')
            number = number * 10 + (*at++ - '0');
        if (is_negative)
            number = -number;
        columns[i].sum += number;
        columns[i].count++;
        if (number < columns[i].least)
            columns[i].least = number;
        if (number > columns[i].most)
            columns[i].most = number;
        at++; /* comma or end of line */
    }
    *ret_at = at;
    return columns[0].sum;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    char *to = text;
    for (int line = 0; line < LINES; line++) {
        for (int i = 0; i < COLUMNS; i++) {
            uint32_t number = next_random(&random) >> (next_random(&random) % 20 + 11);
            char digits[8];
            int count = 0;
            if (number & 1)
                *to++ = '-';
            do
                digits[count++] = (char)('0' + number % 10);
            while ((number /= 10) != 0);
            while (count > 0)
                *to++ = digits[--count];
            *to++ = i == COLUMNS - 1 ? '\n' : ',';
        }
    }
    *to = 0;
    for (int turn = 0; turn < 12; turn++) {
        struct column columns[COLUMNS] = {{0, 0, 0, 0}};
        for (const char *at = text; *at != 0;)
            parse_line(&at, columns);
        for (int i = 0; i < COLUMNS; i++)
            sum = mix(mix(mix(sum, (uint64_t)columns[i].sum), (uint64_t)columns[i].least), (uint64_t)columns[i].most);
    }
    return sum;
}
