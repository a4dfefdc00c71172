#include "tests/cache/artifact.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define SOURCE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void what_is_put_is_got(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(!tf_cache_has(cache, artifact_key(i)));
        CHECK(artifact_get(cache, i) == TF_ERR_NOT_FOUND);
        CHECK(artifact_put(cache, i, NULL) == 0);
        CHECK(artifact_get(cache, i) == 0);
        CHECK(tf_cache_has(cache, artifact_key(i)));
    }
    struct tf_cache *reader = cache_open(TF_CACHE_READ);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(artifact_get(reader, i) == 0);
        CHECK(tf_cache_has(reader, artifact_key(i)));
    }
    CHECK(artifact_put(reader, 11, NULL) == TF_ERR_USAGE);
    struct tf_cache_entry entry;
    CHECK(tf_cache_get(reader, artifact_key(1), &entry, NULL) == 0);
    char path[256];
    hot_path(1, "module.so", path);
    CHECK(strcmp(entry.object_path, path) == 0);
    CHECK((fcntl(entry.object_fd, F_GETFL) & O_ACCMODE) == O_RDONLY && (fcntl(entry.object_fd, F_GETFD) & FD_CLOEXEC));
    tf_cache_entry_dispose(&entry);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&reader);
    tf_cache_close(&cache);
    CHECK(cache == NULL);
    tf_cache_close(&cache);
    cache_leave();
}

static void a_second_put_changes_nothing(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    char hot[256], store[256];
    struct stat before[2], after[2];
    hot_path(1, "module.so", hot);
    store_path(1, store);
    CHECK(stat(hot, &before[0]) == 0 && stat(store, &before[1]) == 0);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    CHECK(stat(hot, &after[0]) == 0 && stat(store, &after[1]) == 0);
    CHECK(before[0].st_ino == after[0].st_ino && before[1].st_ino == after[1].st_ino);
    tf_cache_close(&cache);
    cache_leave();
}

static void bytes_that_do_not_match_are_not_stored(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    struct artifact artifact;
    artifact_make(&artifact, 1);
    artifact.object[7] ^= 1;
    CHECK(tf_cache_put(cache, &artifact.manifest, artifact.object, artifact.image, NULL) == TF_ERR_CORRUPT);
    artifact.object[7] ^= 1;
    artifact.image[7] ^= 1;
    CHECK(tf_cache_put(cache, &artifact.manifest, artifact.object, artifact.image, NULL) == TF_ERR_CORRUPT);
    artifact.image[7] ^= 1;
    strcpy(artifact.manifest.key, "../../../../evil");
    CHECK(tf_cache_put(cache, &artifact.manifest, artifact.object, artifact.image, NULL) == TF_ERR_CORRUPT);
    CHECK(count_lines("find . -type f") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

static void names_that_are_no_keys_are_not_found(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    struct tf_cache_entry entry;
    static const char *const names[] = {"", ".", "..", "../..", "/etc", "0123", SOURCE "0", "AAAA"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK(tf_cache_get(cache, names[i], &entry, NULL) == TF_ERR_NOT_FOUND);
        CHECK(!tf_cache_has(cache, names[i]));
    }
    tf_cache_close(&cache);
    cache_leave();
}

static void everyone_may_read_whatever_the_umask(void)
{
    cache_enter();
    mode_t const before = umask(0777);
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    CHECK(tf_cache_index_put(cache, SOURCE, "f", SOURCE, NULL) == 0);
    umask(before);
    CHECK(count_lines("find hot store index tmp roots -type d ! -perm 0755") == 0);
    CHECK(count_lines("find hot store index -type f ! -perm 0644") == 0);
    CHECK(count_lines("find hot store index -type f") == 6);
    tf_cache_close(&cache);
    cache_leave();
}

static void opening_says_what_is_missing(void)
{
    cache_enter();
    struct tf_cache *cache = NULL;
    struct tf_error error = {0};
    CHECK(tf_cache_open(cache_folder, TF_CACHE_READ, &cache, &error) == TF_ERR_NOT_FOUND);
    CHECK(strstr(error.text, cache_folder) != NULL);
    CHECK(tf_cache_open("/tmp/tf-test-no-such-cache", TF_CACHE_READ, &cache, &error) == TF_ERR_NOT_FOUND);
    char path[700];
    snprintf(path, sizeof(path), "%s/file", cache_folder);
    close(open(path, O_CREAT | O_WRONLY, 0644));
    CHECK(tf_cache_open(path, TF_CACHE_WRITE, &cache, &error) == TF_ERR_SYSTEM);
    int length = snprintf(path, sizeof(path), "%s", cache_folder);
    while (length < 450)
        length += snprintf(path + length, sizeof(path) - (size_t)length, "/long-folder-name");
    CHECK(tf_cache_open(path, TF_CACHE_WRITE, &cache, &error) == TF_ERR_SYSTEM);
    CHECK(cache == NULL);
    cache_leave();
}

static void the_index_leads_from_source_to_key(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    char key[TF_HASH_HEX_BYTES] = "untouched", other[TF_HASH_HEX_BYTES];
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(strcmp(key, "untouched") == 0);
    strcpy(other, artifact_key(2));
    CHECK(tf_cache_index_put(cache, SOURCE, "one", artifact_key(1), NULL) == 0);
    CHECK(tf_cache_index_put(cache, SOURCE, "two", other, NULL) == 0);
    CHECK(tf_cache_index_put(cache, SOURCE, "one", artifact_key(1), NULL) == 0);
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == 0 && strcmp(key, artifact_key(1)) == 0);
    CHECK(tf_cache_index_find(cache, SOURCE, "two", key, NULL) == 0 && strcmp(key, other) == 0);
    CHECK(tf_cache_index_find(cache, "other", "one", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(tf_cache_index_put(cache, SOURCE, "one", other, NULL) == 0);
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == 0 && strcmp(key, other) == 0);
    CHECK(tf_cache_index_put(cache, SOURCE, "one", "../evil", NULL) == TF_ERR_USAGE);
    struct tf_cache *reader = cache_open(TF_CACHE_READ);
    CHECK(tf_cache_index_find(reader, SOURCE, "two", key, NULL) == 0);
    CHECK(tf_cache_index_put(reader, SOURCE, "two", other, NULL) == TF_ERR_USAGE);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&reader);
    tf_cache_close(&cache);
    cache_leave();
}

static void a_damaged_index_entry_is_absent(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(tf_cache_index_put(cache, SOURCE, "one", artifact_key(1), NULL) == 0);
    char command[128], path[512] = "", key[TF_HASH_HEX_BYTES];
    snprintf(command, sizeof(command), "find %s/index -type f", cache_folder);
    FILE *const pipe = popen(command, "r");
    CHECK(pipe != NULL && fgets(path, sizeof(path), pipe) != NULL);
    pclose(pipe);
    path[strcspn(path, "\n")] = '\0';
    int const fd = open(path, O_RDWR);
    char line[130];
    CHECK(pread(fd, line, sizeof(line), 0) == 130);
    for (int i = 0; i < 130; i++) {
        char const wrong = line[i] ^ 1;
        CHECK(pwrite(fd, &wrong, 1, i) == 1);
        CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == TF_ERR_NOT_FOUND);
        CHECK(pwrite(fd, &line[i], 1, i) == 1);
    }
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == 0);
    CHECK(pwrite(fd, "\n", 1, 130) == 1);
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(tf_cache_index_put(cache, SOURCE, "one", artifact_key(1), NULL) == 0);
    CHECK(tf_cache_index_find(cache, SOURCE, "one", key, NULL) == 0);
    close(fd);
    tf_cache_close(&cache);
    cache_leave();
}

static void only_old_temporaries_are_cleaned(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    tf_cache_close(&cache);
    char path[128];
    struct timespec const old[2] = {{.tv_sec = time(NULL) - 4000}, {.tv_sec = time(NULL) - 4000}};
    snprintf(path, sizeof(path), "%s/tmp/old/inner", cache_folder);
    CHECK(tf_file_make_folders(path, NULL) == 0);
    snprintf(path, sizeof(path), "%s/tmp/old", cache_folder);
    CHECK(utimensat(AT_FDCWD, path, old, 0) == 0);
    snprintf(path, sizeof(path), "%s/tmp/link", cache_folder);
    CHECK(symlink("../hot", path) == 0 && utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW) == 0);
    snprintf(path, sizeof(path), "%s/tmp/young", cache_folder);
    CHECK(tf_file_make_folders(path, NULL) == 0);
    cache = cache_open(TF_CACHE_READ);
    tf_cache_close(&cache);
    CHECK(count_lines("ls -A tmp") == 3);
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(count_lines("ls -A tmp") == 1 && count_lines("ls -d hot tmp/young") == 2);
    tf_cache_close(&cache);
    cache_leave();
}

/* Runs `attempt` in a child; the child's exit status, 77: the machine does not allow the test. */
static int in_child(int (*attempt)(void))
{
    pid_t const child = fork();
    if (child == 0)
        _exit(attempt());
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int put_as_nobody(void)
{
    struct tf_cache *cache = NULL;
    struct tf_error error = {0};
    if (geteuid() == 0 && setuid(65534) != 0)
        return 77;
    /* Folders that are there are opened; what cannot be written says so. */
    if (tf_cache_open(cache_folder, TF_CACHE_WRITE, &cache, &error) != 0)
        return 1;
    int const result = artifact_put(cache, 2, &error);
    bool const earlier_is_whole = artifact_get(cache, 1) == 0;
    tf_cache_close(&cache);
    return result == TF_ERR_SYSTEM && strstr(error.text, "Permission denied") != NULL && earlier_is_whole ? 0 : 2;
}

static void a_folder_that_may_not_be_written_is_a_clean_error(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    bool const root = geteuid() == 0;
    if (!root)
        CHECK(count_lines("chmod -R a-w .") == 0);
    int const status = in_child(put_as_nobody);
    CHECK_MESSAGE(status == 0 || status == 77, "status %d", status);
    if (!root)
        CHECK(count_lines("chmod -R u+w .") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

static int put_over_the_file_size(void)
{
    struct rlimit const limit = {300, 300};
    struct tf_cache *cache = NULL;
    struct tf_error error = {0};
    signal(SIGXFSZ, SIG_IGN);
    if (tf_cache_open(cache_folder, TF_CACHE_WRITE, &cache, &error) != 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    int const result = artifact_put(cache, 2, &error);
    tf_cache_close(&cache);
    return result == TF_ERR_SYSTEM && strstr(error.text, "File too large") != NULL ? 0 : 2;
}

static void a_write_that_fails_leaves_nothing(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    CHECK(in_child(put_over_the_file_size) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    CHECK(artifact_get(cache, 1) == 0 && artifact_get(cache, 2) == TF_ERR_NOT_FOUND);
    CHECK(artifact_put(cache, 2, NULL) == 0 && artifact_get(cache, 2) == 0);
    tf_cache_close(&cache);
    cache_leave();
}

static bool write_text(const char *path, const char *text)
{
    int const fd = open(path, O_WRONLY | O_CLOEXEC);
    bool const written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

/* A mount namespace of our own; who is not root becomes root of a user namespace for it. */
static bool enter_mount_namespace(void)
{
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    char users[32], groups[32];
    snprintf(users, sizeof(users), "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

/* Fills a file system of 512 KiB. */
static int put_until_full(void)
{
    if (!enter_mount_namespace())
        return 77;
    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL);
    if (mount("tmpfs", cache_folder, "tmpfs", 0, "size=512k") != 0)
        return 77;
    struct tf_cache *cache = NULL;
    struct tf_error error = {0};
    if (tf_cache_open(cache_folder, TF_CACHE_WRITE, &cache, &error) != 0)
        return 1;
    uint32_t number = 0;
    int result;
    while ((result = artifact_put(cache, number, &error)) == 0 && number < 1000)
        number++;
    if (result != TF_ERR_SYSTEM || strstr(error.text, "No space left") == NULL || number < 3)
        return 2;
    if (count_lines("ls -A tmp") != 0)
        return 3;
    for (uint32_t i = 0; i < number; i++) {
        if (artifact_get(cache, i) != 0)
            return 4;
    }
    /* Its store file may have fitted; what is in hot/ is whole or not there. */
    if (artifact_get(cache, number) != TF_ERR_NOT_FOUND)
        return 5;
    /* Room again: the same put succeeds. */
    for (uint32_t i = 0; i < 2; i++) {
        char path[256];
        hot_path(i, "", path);
        if (tf_file_remove_tree(AT_FDCWD, path, NULL) != 0)
            return 6;
    }
    result = artifact_put(cache, number, &error);
    tf_cache_close(&cache);
    return result == 0 ? 0 : 7;
}

static void a_full_disk_is_a_clean_error(void)
{
    cache_enter();
    int const status = in_child(put_until_full);
    CHECK_MESSAGE(status == 0 || status == 77, "status %d", status);
    cache_leave();
}

TEST_MAIN(TEST(what_is_put_is_got), TEST(a_second_put_changes_nothing), TEST(bytes_that_do_not_match_are_not_stored),
          TEST(names_that_are_no_keys_are_not_found), TEST(everyone_may_read_whatever_the_umask),
          TEST(opening_says_what_is_missing), TEST(the_index_leads_from_source_to_key),
          TEST(a_damaged_index_entry_is_absent), TEST(only_old_temporaries_are_cleaned),
          TEST(a_folder_that_may_not_be_written_is_a_clean_error), TEST(a_write_that_fails_leaves_nothing),
          TEST(a_full_disk_is_a_clean_error))
