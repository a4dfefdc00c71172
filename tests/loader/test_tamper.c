/* Whatever is done to the files of an artifact, nothing but what was signed is mapped. */
#include "tests/loader/artifact.h"

#include "cache/trust.h"

static const char *const names[] = {"manifest.json", "manifest.sig", "module.so", "memory.img"};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static void path_of(const char *key, const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/hot/%.2s/%s/%s", folder, key, key, name);
}

static bool loads(const char *key)
{
    struct tf_module *module = NULL;
    struct tf_error error = {0};
    int const result = tf_module_load(cache, key, &module, &error);
    CHECK(result == 0 ? module != NULL : module == NULL && error.text[0] != '\0');
    bool const is_mapped = count_mappings(folder) != 0;
    CHECK(is_mapped == (result == 0));
    if (result == 0)
        CHECK(run_once(module, 1) == 43 || run_once(module, 1) == 44);
    tf_module_release(&module);
    return result == 0;
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void put_small(char ret_key[TF_HASH_HEX_BYTES])
{
    put_compiled("small", "-DNUMBER=41 -s", plain_manifest(), ret_key);
    CHECK(loads(ret_key));
}

static void no_flipped_byte_is_mapped(void)
{
    char key[TF_HASH_HEX_BYTES], path[256];
    enter();
    put_small(key);
    for (size_t n = 0; n < NAME_COUNT; n++) {
        path_of(key, names[n], path);
        off_t const size = size_of(path);
        int const fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(size > 100 && fd >= 0);
        for (off_t i = 0; i < size; i++) {
            uint8_t byte = 0;
            CHECK(pread(fd, &byte, 1, i) == 1);
            uint8_t const flipped = byte ^ (uint8_t)(1u << (i + n) % 8);
            CHECK(pwrite(fd, &flipped, 1, i) == 1);
            CHECK_MESSAGE(!loads(key), "%s byte %ld", names[n], (long)i);
            CHECK(pwrite(fd, &byte, 1, i) == 1);
        }
        close(fd);
        CHECK(loads(key));
    }
    leave();
}

static void no_cut_file_is_mapped(void)
{
    char key[TF_HASH_HEX_BYTES], path[256];
    static uint8_t bytes[1 << 20];
    enter();
    put_small(key);
    for (size_t n = 0; n < NAME_COUNT; n++) {
        path_of(key, names[n], path);
        int const fd = open(path, O_RDWR | O_CLOEXEC);
        ssize_t const size = read(fd, bytes, sizeof(bytes));
        CHECK(size > 100 && size < (ssize_t)sizeof(bytes));
        for (ssize_t length = size - 1; length >= 0; length--) {
            CHECK(ftruncate(fd, length) == 0);
            CHECK_MESSAGE(!loads(key), "%s cut at %zd", names[n], length);
        }
        CHECK(pwrite(fd, bytes, (size_t)size, 0) == size && loads(key));
        CHECK(pwrite(fd, "", 1, size) == 1 && !loads(key));
        CHECK(ftruncate(fd, size) == 0 && loads(key));
        close(fd);
    }
    leave();
}

/* Each set of another artifact's files in this one's place. */
static void no_artifact_takes_anothers_place(void)
{
    char key[TF_HASH_HEX_BYTES], other[TF_HASH_HEX_BYTES], from[256], to[256], command[1200];
    enter();
    put_small(key);
    put_compiled("other", "-DNUMBER=42 -s", plain_manifest(), other);
    for (unsigned set = 1; set < 1u << NAME_COUNT; set++) {
        snprintf(command, sizeof(command), "rm -rf %s/saved && cp -r %s/hot %s/saved", folder, folder, folder);
        CHECK(system(command) == 0);
        for (size_t n = 0; n < NAME_COUNT; n++) {
            path_of(other, names[n], from);
            path_of(key, names[n], to);
            snprintf(command, sizeof(command), "cp %s %s", from, to);
            if (set >> n & 1)
                CHECK(system(command) == 0);
        }
        /* Both images are the same bytes: that one alone may change hands. */
        CHECK_MESSAGE(loads(key) == (set == 8), "set %u", set);
        snprintf(command, sizeof(command), "rm -rf %s/hot/* && cp -r %s/saved/* %s/hot/", folder, folder, folder);
        CHECK(system(command) == 0);
        CHECK(loads(key));
    }
    leave();
}

/* What was once signed well comes back after its key was revoked, or replaced. */
static void no_replay_is_mapped(void)
{
    char key[TF_HASH_HEX_BYTES], own[TF_TRUST_HEX_BYTES], path[256], command[1200];
    enter();
    put_small(key);
    CHECK(tf_trust_own_key(tf_cache_trust(cache), own, NULL) == 0);
    snprintf(command, sizeof(command), "cp -r %s/hot %s/old && rm %s/trust/private/builder.key", folder, folder,
             folder);
    CHECK(system(command) == 0);
    tf_cache_close(&cache);
    CHECK(tf_cache_open(folder, TF_CACHE_WRITE, &cache, NULL) == 0);
    CHECK(tf_trust_add(tf_cache_trust(cache), TF_TRUST_REVOKE_KEY, own, NULL) == 0);
    CHECK(!loads(key));
    put_compiled("small", "-DNUMBER=41 -s", plain_manifest(), key);
    CHECK(loads(key));
    snprintf(command, sizeof(command), "rm -rf %s/hot/* && cp -r %s/old/* %s/hot/", folder, folder, folder);
    CHECK(system(command) == 0);
    CHECK(!loads(key));
    CHECK(!tf_cache_has(cache, "0000000000000000000000000000000000000000000000000000000000000000"));
    CHECK(tf_cache_has(cache, key) && loads(key)); /* from the store, which was signed anew */
    CHECK(tf_trust_add(tf_cache_trust(cache), TF_TRUST_REVOKE, key, NULL) == 0);
    CHECK(!loads(key) && !tf_cache_has(cache, key));
    path_of(key, "module.so", path);
    CHECK(count_mappings(folder) == 0);
    leave();
}

TEST_MAIN(TEST(no_flipped_byte_is_mapped), TEST(no_cut_file_is_mapped), TEST(no_artifact_takes_anothers_place),
          TEST(no_replay_is_mapped))
