/* Whatever happens to the bytes on disk, an artifact that is handed out is the one that was put. */
#include "tests/cache/artifact.h"

#include "cache/internal.h"

#define NUMBER 4u /* object, and an image of one page */

static struct tf_cache *cache;

static void enter(void)
{
    cache = cache_enter_with(NUMBER);
}

static void leave(void)
{
    tf_cache_close(&cache);
    cache_leave();
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void flip(int fd, off_t offset, uint8_t mask)
{
    uint8_t byte;
    CHECK(pread(fd, &byte, 1, offset) == 1);
    byte ^= mask;
    CHECK(pwrite(fd, &byte, 1, offset) == 1);
}

/* A manifest and its signature that do not fit each other say no more than that: the signature is judged first. */
static bool is_noticed(int found, const char *name)
{
    return found == TF_ERR_CORRUPT || (found == TF_ERR_TRUST && strncmp(name, "manifest", 8) == 0);
}

static void flipped_hot_bytes_are_never_handed_out(void)
{
    enter();
    static const struct {
        const char *name;
        off_t step;
    } files[] = {{"manifest.json", 1}, {"module.so", 1}, {"memory.img", 61}, {"manifest.sig", 1}};
    for (size_t f = 0; f < 4; f++) {
        char path[256];
        hot_path(NUMBER, files[f].name, path);
        off_t const size = size_of(path);
        CHECK(size > 100);
        int const fd = open(path, O_RDWR);
        for (off_t i = 0; i < size; i += files[f].step) {
            flip(fd, i, (uint8_t)(1 << i % 8));
            int const found = artifact_get(cache, NUMBER);
            CHECK_MESSAGE(is_noticed(found, files[f].name), "%s byte %ld", files[f].name, (long)i);
            flip(fd, i, (uint8_t)(1 << i % 8));
        }
        CHECK(artifact_get(cache, NUMBER) == 0);
        flip(fd, size - 2, 0x10);
        struct tf_cache *reader = cache_open(TF_CACHE_READ);
        CHECK(!tf_cache_has(reader, artifact_key(NUMBER)));
        tf_cache_close(&reader);
        CHECK(artifact_get(cache, NUMBER) != 0);
        CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
        CHECK(artifact_get(cache, NUMBER) == 0);
        close(fd);
    }
    CHECK(count_lines("ls -A tmp") == 0);
    leave();
}

static void flipped_store_bytes_are_never_restored(void)
{
    enter();
    char path[256];
    store_path(NUMBER, path);
    int const fd = open(path, O_RDWR);
    off_t const size = size_of(path);
    CHECK(size > 500);
    /* A few bits of a frame do not matter to its content: there, what is restored must be the artifact. */
    int unnoticed = 0;
    char hot[256];
    for (off_t i = 0; i < size; i++) {
        flip(fd, i, 1);
        hot_path(NUMBER, "", hot);
        CHECK(tf_file_remove_tree(AT_FDCWD, hot, NULL) == 0);
        int const read = tf_store_read(cache, artifact_key(NUMBER), NULL, NULL);
        CHECK_MESSAGE(read == 0 || read == TF_ERR_CORRUPT || read == TF_ERR_TRUST, "byte %ld: %d", (long)i, read);
        CHECK(tf_cache_has(cache, artifact_key(NUMBER)) == (read == 0));
        CHECK(artifact_get(cache, NUMBER) == (read == 0 ? 0 : TF_ERR_NOT_FOUND));
        unnoticed += read == 0;
        flip(fd, i, 1);
    }
    CHECK_MESSAGE(unnoticed <= 4, "%d", unnoticed);
    CHECK(count_lines("ls -A tmp") == 0);
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == 0);
    for (off_t length = 0; length < size; length += length < 32 || length > size - 32 ? 1 : 37) {
        uint8_t bytes[20000];
        CHECK(pread(fd, bytes, sizeof(bytes), 0) == size);
        CHECK(ftruncate(fd, length) == 0);
        CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == TF_ERR_CORRUPT);
        CHECK(pwrite(fd, bytes, (size_t)size, 0) == size);
    }
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == 0);
    CHECK(pwrite(fd, "", 1, size) == 1);
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == TF_ERR_CORRUPT);
    close(fd);
    leave();
}

static void cut_and_lengthened_files_are_noticed(void)
{
    enter();
    static const char *const names[] = {"manifest.json", "module.so", "memory.img", "manifest.sig"};
    for (size_t f = 0; f < 4; f++) {
        char path[256];
        hot_path(NUMBER, names[f], path);
        off_t const size = size_of(path);
        off_t const lengths[] = {0, 1, 512, size / 2, size - 1, size + 1, size + 4096};
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            CHECK(truncate(path, lengths[i]) == 0);
            CHECK_MESSAGE(is_noticed(artifact_get(cache, NUMBER), names[f]), "%s at %ld", names[f], (long)lengths[i]);
            CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
            CHECK(artifact_get(cache, NUMBER) == 0);
        }
    }
    leave();
}

static void what_is_no_plain_file_is_noticed(void)
{
    enter();
    static const char *const names[] = {"manifest.json", "module.so", "memory.img", "manifest.sig"};
    for (size_t f = 0; f < 4; f++) {
        char path[256], elsewhere[300];
        snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", cache_folder);
        for (int kind = 0; kind < 4; kind++) {
            hot_path(NUMBER, names[f], path);
            CHECK(rename(path, elsewhere) == 0);
            if (kind == 1)
                CHECK(symlink("../../../elsewhere", path) == 0);
            if (kind == 2)
                CHECK(mkfifo(path, 0644) == 0);
            if (kind == 3)
                CHECK(mkdir(path, 0755) == 0);
            CHECK_MESSAGE(artifact_get(cache, NUMBER) == TF_ERR_CORRUPT, "%s kind %d", names[f], kind);
            CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
            CHECK(artifact_get(cache, NUMBER) == 0);
        }
    }
    CHECK(count_lines("ls -A tmp") == 0);
    leave();
}

static void an_artifact_that_is_no_folder_is_replaced(void)
{
    enter();
    char path[256];
    hot_path(NUMBER, "", path);
    path[strlen(path) - 1] = '\0';
    for (int kind = 0; kind < 3; kind++) {
        CHECK(tf_file_remove_tree(AT_FDCWD, path, NULL) == 0);
        if (kind == 0)
            close(open(path, O_CREAT | O_WRONLY, 0644));
        if (kind == 1)
            CHECK(symlink("/tmp", path) == 0);
        if (kind == 2)
            CHECK(mkdir(path, 0700) == 0);
        CHECK(artifact_get(cache, NUMBER) == TF_ERR_CORRUPT);
        CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
        CHECK(artifact_get(cache, NUMBER) == 0);
    }
    CHECK(count_lines("ls -A tmp") == 0 && access("/tmp", F_OK) == 0);
    leave();
}

static void an_artifact_under_another_name_is_refused(void)
{
    enter();
    CHECK(artifact_put(cache, 7, NULL) == 0);
    char from[256], to[256], command[700];
    hot_path(7, "", from);
    hot_path(NUMBER, "", to);
    snprintf(command, sizeof(command), "cp %s* %s", from, to);
    CHECK(count_lines(command) == 0);
    CHECK(artifact_get(cache, 7) == 0);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_CORRUPT);
    store_path(7, from);
    store_path(NUMBER, to);
    snprintf(command, sizeof(command), "cp %s %s", from, to);
    CHECK(count_lines(command) == 0);
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == TF_ERR_CORRUPT);
    CHECK(!tf_cache_has(cache, artifact_key(NUMBER)));
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_CORRUPT);
    /* Built again, both come right. */
    CHECK(artifact_put(cache, NUMBER, NULL) == 0);
    CHECK(artifact_get(cache, NUMBER) == 0);
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == 0);
    leave();
}

static void parts_of_two_artifacts_do_not_make_one(void)
{
    enter();
    CHECK(artifact_put(cache, NUMBER + 3, NULL) == 0);
    static const char *const names[] = {"module.so", "memory.img"};
    for (size_t f = 0; f < 2; f++) {
        char from[256], to[256], command[700];
        hot_path(NUMBER + 3, names[f], from);
        hot_path(NUMBER, names[f], to);
        snprintf(command, sizeof(command), "cp %s %s", from, to);
        CHECK(count_lines(command) == 0);
        CHECK(artifact_get(cache, NUMBER) == TF_ERR_CORRUPT);
        CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
    }
    leave();
}

static void another_abi_is_said_to_be_one(void)
{
    cache_enter();
    cache = cache_open(TF_CACHE_WRITE);
    struct artifact artifact;
    artifact_make(&artifact, NUMBER);
    artifact.manifest.abi_version = TF_ABI_VERSION + 1;
    CHECK(tf_cache_put(cache, &artifact.manifest, artifact.object, artifact.image, NULL) == 0);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_ABI);
    CHECK(!tf_cache_has(cache, artifact_key(NUMBER)));
    leave();
}

static void a_lost_hot_folder_comes_back_from_the_store(void)
{
    enter();
    char path[256];
    hot_path(NUMBER, "", path);
    CHECK(tf_file_remove_tree(AT_FDCWD, path, NULL) == 0);
    struct tf_cache *reader = cache_open(TF_CACHE_READ);
    CHECK(!tf_cache_has(reader, artifact_key(NUMBER)));
    tf_cache_close(&reader);
    CHECK(tf_cache_has(cache, artifact_key(NUMBER)));
    CHECK(artifact_get(cache, NUMBER) == 0);
    leave();
}

TEST_MAIN(TEST(flipped_hot_bytes_are_never_handed_out), TEST(flipped_store_bytes_are_never_restored),
          TEST(cut_and_lengthened_files_are_noticed), TEST(what_is_no_plain_file_is_noticed),
          TEST(an_artifact_that_is_no_folder_is_replaced), TEST(an_artifact_under_another_name_is_refused),
          TEST(parts_of_two_artifacts_do_not_make_one), TEST(another_abi_is_said_to_be_one),
          TEST(a_lost_hot_folder_comes_back_from_the_store))
