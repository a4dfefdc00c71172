/* Words looked for in a text, with and without a table of skips, and a pattern with wildcards. */
#include "kernel.h"

#define BYTES 600000

static char text[BYTES + 1];

static uint32_t count_plainly(const char *word, int length)
{
    uint32_t count = 0;
    for (int i = 0; i + length <= BYTES; i++) {
        int k = 0;
        while (k < length && text[i + k] == word[k])
            k++;
        count += k == length;
    }
    return count;
}

static uint32_t count_skipping(const char *word, int length)
{
    int skip[256];
    uint32_t count = 0;
    for (int i = 0; i < 256; i++)
        skip[i] = length;
    for (int i = 0; i < length - 1; i++)
        skip[(uint8_t)word[i]] = length - 1 - i;
    for (int i = 0; i + length <= BYTES; i += skip[(uint8_t)text[i + length - 1]]) {
        int k = length - 1;
        while (k >= 0 && text[i + k] == word[k])
            k--;
        count += k < 0;
    }
    return count;
}

/* '?' is any one character, '*' up to eight of them. */
static int matches(const char *pattern, const char *at)
{
    if (*pattern == 0)
        return 1;
    if (*at == 0)
        return 0;
    if (*pattern == '*') {
        for (int i = 0; i <= 8 && at[i] != 0; i++)
            if (matches(pattern + 1, at + i))
                return 1;
        return 0;
    }
    return (*pattern == '?' || *pattern == *at) && matches(pattern + 1, at + 1);
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int i = 0; i < BYTES; i++)
        text[i] = (char)('a' + (next_random(&random) & next_random(&random) & 15));
    text[BYTES] = 0;
    for (int turn = 0; turn < 4; turn++) {
        sum = mix(sum, count_plainly("abcada", 6));
        sum = mix(sum, count_skipping("bacadaeabc", 10));
    }
    for (int i = 0; i < BYTES; i++)
        sum += (uint64_t)matches("ab?c*e", text + i);
    return sum;
}
