/* The mapper: what it makes of good objects, and that it takes no others, whatever their bytes say. */
#include "loader/internal.h"

#include <elf.h>
#include <sys/mman.h>

#include "tests/loader/artifact.h"

/* A file that an object may be mapped from. */
static int make_file(const void *bytes, size_t length)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/mapped.so", folder);
    int const fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && pwrite(fd, bytes, length, 0) == (ssize_t)length);
    return fd;
}

static int open_object(int fd, struct tf_object *ret_object, struct tf_error *error)
{
    struct tf_cache_entry const entry = {.object_fd = fd, .image_fd = -1};
    return tf_object_open(&entry, ret_object, error);
}

/* Mappings of mapped.so with these rights; NULL: any. */
static int count_with(const char *rights)
{
    char line[1024];
    int count = 0;
    FILE *const maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        const char *const space = strchr(line, ' ');
        count += strstr(line, "mapped.so") != NULL && (rights == NULL || strncmp(space + 1, rights, 4) == 0);
    }
    if (maps != NULL)
        fclose(maps);
    return count;
}

static void nothing_mapped_is_writable(void)
{
    enter();
    static const char *const flags[] = {"", "-s", "-DSTORAGE= -DTABLE_STORAGE=", "-Wl,-z,norelro",
                                        "-Wl,-z,max-page-size=65536", "-Wl,-z,max-page-size=65536 -Wl,-z,norelro"};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct tf_buffer bytes = compile(flags[i]);
        int const fd = make_file(bytes.bytes, bytes.length);
        struct tf_object object, second;
        struct tf_error error = {0};
        CHECK_MESSAGE(open_object(fd, &object, &error) == 0, "%s: %s", flags[i], error.text);
        CHECK(count_with("r-xp") == 1 && count_with("r--p") == 1);
        CHECK(count_with(NULL) == 2 + count_with("---p") && count_with("---p") <= 1);
        const struct tf_abi_module *const abi = object.symbol;
        CHECK(object.symbol_bytes == sizeof(*abi) && abi->magic == TF_ABI_MAGIC);
        CHECK(tf_object_holds_constant(&object, abi, sizeof(*abi)));
        CHECK(tf_object_holds_constant(&object, abi->tables, abi->table_count * sizeof(abi->tables[0])));
        CHECK((const uint8_t *)abi->run >= object.text.begin && (const uint8_t *)abi->run < object.text.end);
        close(fd); /* the mapping stays without it */
        int const again = make_file(bytes.bytes, bytes.length);
        CHECK(open_object(again, &second, NULL) == 0 && second.symbol != object.symbol);
        tf_object_close(&object);
        CHECK(count_with("r-xp") == 1 && ((const struct tf_abi_module *)second.symbol)->magic == TF_ABI_MAGIC);
        tf_object_close(&second);
        CHECK(count_with(NULL) == 0 && second.symbol == NULL);
        tf_object_close(&second);
        close(again);
        tf_buffer_dispose(&bytes);
    }
    leave();
}

static void what_no_artifact_has_is_refused(void)
{
    enter();
    static const char *const flags[] = {
        "-Dtf_module=another_name",
        "-Wl,-z,separate-code",
        "-Wl,-N",
        "-Wl,-z,execstack",
        "-Wl,--hash-style=gnu",
        "-Wl,-soname,name",
        "-Wl,-z,undefs '-DEXTRA=extern void other(void); HIDDEN void (*called)(void) = other;'",
        "'-DEXTRA=int exported = 1;'",
        "'-DEXTRA=HIDDEN uint64_t zeros[16];'",
        "'-DEXTRA=HIDDEN _Thread_local int of_thread = 1;'",
        "'-DEXTRA=__attribute__((constructor)) static void begin(void) { __asm__ volatile(\"\"); }'",
        "'-DEXTRA=__attribute__((destructor)) static void end(void) { __asm__ volatile(\"\"); }'",
        ("'-DEXTRA=static void one(void) {} static void *choose(void) { return one; }"
         " HIDDEN void chosen(void) __attribute__((ifunc(\"choose\"))); HIDDEN void (*pointer)(void) = chosen;'"),
        "-Wl,--no-as-needed -lc",
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct tf_buffer bytes = compile(flags[i]);
        int const fd = make_file(bytes.bytes, bytes.length);
        struct tf_object object = {0};
        struct tf_error error = {0};
        CHECK_MESSAGE(open_object(fd, &object, &error) == TF_ERR_CORRUPT, "%s", flags[i]);
        CHECK(strncmp(error.text, "the object ", 11) == 0 && object.symbol == NULL && count_with(NULL) == 0);
        tf_object_close(&object);
        close(fd);
        tf_buffer_dispose(&bytes);
    }
    leave();
}

/* Maps what it takes, and looks at all of it that the descriptor's checks look at. */
static void try_bytes(int fd, int *mapped)
{
    struct tf_object object = {0};
    int const result = open_object(fd, &object, NULL);
    CHECK(result == 0 || result == TF_ERR_CORRUPT || result == TF_ERR_SYSTEM);
    CHECK((result == 0) == (object.symbol != NULL));
    if (result == 0) {
        CHECK(tf_object_holds_constant(&object, object.symbol, object.symbol_bytes));
        for (size_t i = 0; i < object.symbol_bytes; i++)
            (void)((const volatile uint8_t *)object.symbol)[i];
        *mapped += 1;
    }
    tf_object_close(&object);
}

/* Anywhere: headers and symbols at the front of the text, code, the data at the end. */
static void no_flipped_byte_leads_astray(void)
{
    enter();
    struct tf_buffer bytes = compile("-s");
    int const fd = make_file(bytes.bytes, bytes.length);
    int mapped = 0, refused = 0;
    static const uint8_t patterns[] = {0x01, 0x80, 0xff, 0x10};
    for (size_t i = 0; i < bytes.length; i++) {
        for (size_t p = 0; p < sizeof(patterns); p++) {
            uint8_t const flipped = bytes.bytes[i] ^ patterns[p];
            int const before = mapped;
            CHECK(pwrite(fd, &flipped, 1, (off_t)i) == 1);
            try_bytes(fd, &mapped);
            refused += mapped == before;
        }
        CHECK(pwrite(fd, &bytes.bytes[i], 1, (off_t)i) == 1);
    }
    CHECK_MESSAGE(refused > 400 && mapped > 1000, "%d refused, %d mapped", refused, mapped);
    CHECK(count_with(NULL) == 0);
    close(fd);
    tf_buffer_dispose(&bytes);
    leave();
}

/* Words that are far off, in each place that holds an address, a size or an offset. */
static void no_wild_word_leads_astray(void)
{
    enter();
    struct tf_buffer bytes = compile("-s");
    int const fd = make_file(bytes.bytes, bytes.length);
    int mapped = 0;
    static const uint64_t words[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x7fffffff, 0x80000001, UINT64_C(1) << 47,
                                     INT64_MAX, UINT64_MAX, UINT64_MAX - 0xfff};
    for (size_t i = 0; i + sizeof(uint64_t) <= bytes.length; i += 4) {
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            CHECK(pwrite(fd, &words[w], sizeof(words[w]), (off_t)i) == sizeof(words[w]));
            try_bytes(fd, &mapped);
        }
        CHECK(pwrite(fd, bytes.bytes + i, sizeof(uint64_t), (off_t)i) == sizeof(uint64_t));
    }
    CHECK(mapped > 0 && count_with(NULL) == 0);
    close(fd);
    tf_buffer_dispose(&bytes);
    leave();
}

static void no_cut_object_is_mapped(void)
{
    enter();
    struct tf_buffer bytes = compile("-s");
    int const fd = make_file(bytes.bytes, bytes.length);
    struct tf_object object = {0};
    CHECK(open_object(fd, &object, NULL) == 0);
    /* Behind the segments lie section headers, which nobody reads. */
    size_t const needed = (size_t)(((const Elf64_Phdr *)(object.whole.begin + sizeof(Elf64_Ehdr)))[1].p_offset +
                                   ((const Elf64_Phdr *)(object.whole.begin + sizeof(Elf64_Ehdr)))[1].p_filesz);
    tf_object_close(&object);
    CHECK(needed > 1000 && needed <= bytes.length);
    for (size_t length = needed; length-- > 0;) {
        CHECK(ftruncate(fd, (off_t)length) == 0);
        CHECK_MESSAGE(open_object(fd, &object, NULL) == TF_ERR_CORRUPT, "%zu bytes", length);
    }
    CHECK(count_with(NULL) == 0);
    close(fd);
    CHECK(open_object(fd, &object, NULL) == TF_ERR_SYSTEM && object.symbol == NULL);
    tf_buffer_dispose(&bytes);
    leave();
}

static void constants_lie_in_segments(void)
{
    static uint8_t memory[100];
    struct tf_object object = {.text = {memory + 10, memory + 20}, .data = {memory + 30, memory + 40}};
    CHECK(tf_object_holds_constant(&object, memory + 10, 10));
    CHECK(tf_object_holds_constant(&object, memory + 39, 1));
    CHECK(!tf_object_holds_constant(&object, memory + 10, 11));
    CHECK(!tf_object_holds_constant(&object, memory + 9, 2));
    CHECK(!tf_object_holds_constant(&object, memory + 20, 1));
    CHECK(!tf_object_holds_constant(&object, memory + 15, 20));
    CHECK(!tf_object_holds_constant(&object, memory + 35, SIZE_MAX));
    CHECK(!tf_object_holds_constant(&object, NULL, 1));
}

TEST_MAIN(TEST(nothing_mapped_is_writable), TEST(what_no_artifact_has_is_refused), TEST(no_flipped_byte_leads_astray),
          TEST(no_wild_word_leads_astray), TEST(no_cut_object_is_mapped), TEST(constants_lie_in_segments))
