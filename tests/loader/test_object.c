/* The part that decides which file is mapped: without /proc, and when names lead elsewhere. */
#include "loader/object.c"

#include "tests/loader/artifact.h"

#define NO_PROC "/tf-test-no-such-folder/"

static struct tf_cache_entry enter_entry(char ret_key[TF_HASH_HEX_BYTES])
{
    struct tf_cache_entry entry;
    enter();
    put_compiled("a", "", plain_manifest(), ret_key);
    CHECK(tf_cache_get(cache, ret_key, &entry, NULL) == 0);
    return entry;
}

static void without_proc_the_path_serves(void)
{
    char key[TF_HASH_HEX_BYTES];
    struct tf_cache_entry entry = enter_entry(key);
    struct tf_object object;
    struct tf_error error = {0};
    CHECK_MESSAGE(open_through(&entry, NO_PROC, &object, &error) == 0, "%s", error.text);
    CHECK(count_mappings(key) > 0 && object.text.begin != NULL);
    CHECK(dlsym(object.handle, TF_ABI_SYMBOL) != NULL);
    tf_object_close(&object);
    CHECK(count_mappings(key) == 0);
    tf_cache_entry_dispose(&entry);
    leave();
}

static void a_path_that_leads_elsewhere_is_noticed(void)
{
    char key[TF_HASH_HEX_BYTES], aside[100], command[800];
    struct tf_cache_entry entry = enter_entry(key);
    struct tf_object object;
    snprintf(aside, sizeof(aside), "%s/aside.so", folder);
    CHECK(rename(entry.object_path, aside) == 0);
    CHECK(open_through(&entry, NO_PROC, &object, NULL) == TF_ERR_CORRUPT);
    snprintf(command, sizeof(command), "cp %s %s", aside, entry.object_path);
    CHECK(system(command) == 0);
    CHECK(open_through(&entry, NO_PROC, &object, NULL) == TF_ERR_CORRUPT);
    CHECK(count_mappings(folder) == 0);
    /* The descriptor still leads to what was checked. */
    CHECK(tf_object_open(&entry, &object, NULL) == 0);
    CHECK(count_mappings("aside.so") > 0 && count_mappings("module.so") == 0);
    tf_object_close(&object);
    tf_cache_entry_dispose(&entry);
    leave();
}

static void a_folder_that_only_looks_like_proc_is_not_believed(void)
{
    char key[TF_HASH_HEX_BYTES], fake[100], name[200];
    struct tf_cache_entry entry = enter_entry(key);
    struct tf_object object;
    snprintf(fake, sizeof(fake), "%s/fake/", folder);
    CHECK(tf_file_make_folders(fake, NULL) == 0);
    snprintf(name, sizeof(name), "%s%d", fake, entry.object_fd);
    CHECK(symlink("/etc/passwd", name) == 0);
    CHECK(open_through(&entry, fake, &object, NULL) == 0);
    CHECK(count_mappings(key) > 0 && dlsym(object.handle, TF_ABI_SYMBOL) != NULL);
    tf_object_close(&object);
    tf_cache_entry_dispose(&entry);
    leave();
}

static void spellings_never_repeat(void)
{
    enum { COUNT = 300 };
    static char names[COUNT][NAME_BYTES];
    for (int i = 0; i < COUNT; i++) {
        spell("/proc/self/fd/", 14, i % 2 ? "7" : "17", names[i]);
        CHECK(strncmp(names[i], "/proc/self/fd/", 14) == 0);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(names[i], names[j]) != 0);
    }
}

static void constants_lie_in_read_only_ranges(void)
{
    static uint8_t memory[100];
    struct tf_object object = {.read_only = {{memory + 10, memory + 20}, {memory + 30, memory + 40}},
                               .read_only_count = 2};
    CHECK(tf_object_holds_constant(&object, memory + 10, 10));
    CHECK(tf_object_holds_constant(&object, memory + 39, 1));
    CHECK(!tf_object_holds_constant(&object, memory + 10, 11));
    CHECK(!tf_object_holds_constant(&object, memory + 9, 2));
    CHECK(!tf_object_holds_constant(&object, memory + 20, 1));
    CHECK(!tf_object_holds_constant(&object, memory + 15, 20));
    CHECK(!tf_object_holds_constant(&object, memory + 35, SIZE_MAX));
    CHECK(!tf_object_holds_constant(&object, NULL, 1));
}

TEST_MAIN(TEST(without_proc_the_path_serves), TEST(a_path_that_leads_elsewhere_is_noticed),
          TEST(a_folder_that_only_looks_like_proc_is_not_believed), TEST(spellings_never_repeat),
          TEST(constants_lie_in_read_only_ranges))
