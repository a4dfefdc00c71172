/* Names of functions out of a section that may hold anything. */
#include "compiler/wasm_names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/check.h"

#define MOST 100000u

static const uint8_t start[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
/* A type section, and the names' section: of the module, of functions 1, 3 and 700, of locals. */
static const uint8_t good[] = {
    1,   4,   1,   0x60, 0, 0, 0, 34,  4,   'n',  'a',  'm',  'e',  0, 2,   1, 'm', 1, 17, 3, 1,
    3,   'o', 'n', 'e',  3, 4, 't', 'h', 0x1b, '\\', 0xbc, 0x05, 1, 'z', 2, 4,   1, 1,  0, 0, 0};

/* At the very end of memory: what reads on faults. */
static uint8_t *at_the_end(const uint8_t *bytes, size_t length)
{
    size_t const size = (sizeof(start) + length + 8191) / 4096 * 4096;
    uint8_t *const pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + size - 4096, 4096, PROT_NONE) == 0);
    uint8_t *const source = pages + size - 4096 - sizeof(start) - length;
    memcpy(source, start, sizeof(start));
    memcpy(source + sizeof(start), bytes, length);
    return source;
}

static void give_back(size_t length, uint8_t *source)
{
    size_t const size = (sizeof(start) + length + 8191) / 4096 * 4096;
    munmap(source + sizeof(start) + length + 4096 - size, size);
}

/* The name as it is told; "" where there is none. */
static bool tells(const uint8_t *bytes, size_t length, uint32_t function, const char *wanted)
{
    uint8_t *const source = at_the_end(bytes, length);
    struct tf_wasm_names *names = tf_wasm_names_read(source, sizeof(start) + length, MOST);
    struct tf_buffer text;
    tf_buffer_init(&text, 4096);
    tf_wasm_names_tell(names, function, &text);
    tf_buffer_append_byte(&text, '\0');
    bool const is_so = strcmp((const char *)text.bytes, wanted) == 0;
    tf_buffer_dispose(&text);
    tf_wasm_names_free(&names);
    give_back(length, source);
    return is_so;
}

static void names_are_found_and_made_harmless(void)
{
    CHECK(tells(good, sizeof(good), 1, " (one)") && tells(good, sizeof(good), 700, " (z)"));
    CHECK(tells(good, sizeof(good), 3, " (th\\x1b\\x5c)"));
    CHECK(tells(good, sizeof(good), 0, "") && tells(good, sizeof(good), 2, "") &&
          tells(good, sizeof(good), UINT32_MAX, ""));
}

static void what_is_no_section_of_names_has_none(void)
{
    static const uint8_t other[] = {0, 5, 4, 'n', 'a', 'm', 'f', 0, 1, 0};
    static const uint8_t none[] = {0, 5, 4, 'n', 'a', 'm', 'e'};
    CHECK(tells(other, sizeof(other), 1, "") && tells(none, sizeof(none), 1, "") && tells(none, 0, 1, ""));
    CHECK(tf_wasm_names_read(start, 3, MOST) == NULL);
}

/* Cut anywhere, or with any byte changed to any other, it ends where it is wrong. */
static void every_cut_and_every_byte(void)
{
    uint8_t bytes[sizeof(good)];
    for (size_t length = 0; length < sizeof(good); length++)
        (void)tells(good, length, 1, "");
    for (size_t at = 0; at < sizeof(good); at++) {
        for (unsigned value = 0; value < 256; value += value < 8 || value > 0x7c ? 1 : 9) {
            memcpy(bytes, good, sizeof(good));
            bytes[at] = (uint8_t)value;
            (void)tells(bytes, sizeof(bytes), 3, "");
        }
    }
}

static void lying_counts_and_disorder_end_the_list(void)
{
    static const uint8_t many[] = {0, 18, 4, 'n', 'a', 'm', 'e', 1, 11, 0xff, 0xff, 0xff, 0xff, 0x0f, 7, 1, 'a', 8, 1,
                                   'b'};
    static const uint8_t disorder[] = {0,   20, 4, 'n', 'a', 'm', 'e', 1,   13, 4, 5,
                                       1, 'a', 6,  1,   'b', 6,   1,   'c', 7,  1, 'd'};
    static const uint8_t huge[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    CHECK(tells(many, sizeof(many), 7, " (a)") && tells(many, sizeof(many), 8, " (b)"));
    CHECK(tells(disorder, sizeof(disorder), 5, " (a)") && tells(disorder, sizeof(disorder), 6, " (b)") &&
          tells(disorder, sizeof(disorder), 7, ""));
    CHECK(tells(huge, sizeof(huge), 0, ""));
}

static void put_number(struct tf_buffer *buffer, size_t value)
{
    for (unsigned i = 0; i < 5; i++, value >>= 7)
        tf_buffer_append_byte(buffer, (uint8_t)((value & 0x7f) | (i < 4 ? 0x80 : 0)));
}

static void a_hundred_thousand_long_names(void)
{
    struct tf_buffer list, all;
    char name[200], wanted[160];
    tf_buffer_init(&list, 64u << 20);
    tf_buffer_init(&all, 64u << 20);
    memset(name, 'n', sizeof(name));
    put_number(&list, MOST + 1);
    for (size_t i = 0; i <= MOST; i++) {
        put_number(&list, 2 * i);
        put_number(&list, sizeof(name));
        tf_buffer_append(&list, name, sizeof(name));
    }
    tf_buffer_append_byte(&all, 0);
    put_number(&all, 5 + 1 + 5 + list.length);
    tf_buffer_append(&all, "\4name\1", 6);
    put_number(&all, list.length);
    tf_buffer_append(&all, list.bytes, list.length);
    CHECK(!list.failed && !all.failed);
    snprintf(wanted, sizeof(wanted), " (%.*s...)", (int)TF_WASM_NAME_TOLD_BYTES, name);
    CHECK(tells(all.bytes, all.length, 0, wanted) && tells(all.bytes, all.length, 2 * (MOST - 1), wanted));
    CHECK(tells(all.bytes, all.length, 2 * MOST, "") && tells(all.bytes, all.length, 3, "")); /* one too many */
    tf_buffer_dispose(&list);
    tf_buffer_dispose(&all);
}

TEST_MAIN(TEST(names_are_found_and_made_harmless), TEST(what_is_no_section_of_names_has_none),
          TEST(every_cut_and_every_byte), TEST(lying_counts_and_disorder_end_the_list),
          TEST(a_hundred_thousand_long_names))
