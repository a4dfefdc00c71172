/* What stays and what goes, and what verification finds. */
#include "tests/cache/artifact.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "cache/keep.h"

static struct tf_cache *cache;
static struct tf_keys live;

static void enter(uint32_t count)
{
    cache_enter();
    cache = cache_open(TF_CACHE_WRITE);
    for (uint32_t i = 0; i < count; i++)
        CHECK(artifact_put(cache, i, NULL) == 0);
}

static void leave(void)
{
    tf_keys_dispose(&live);
    tf_cache_close(&cache);
    cache_leave();
}

/* As if it was used so long ago. */
static void age(uint32_t number, int64_t seconds)
{
    char path[256];
    store_path(number, path);
    struct timespec const times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static int add_live(void *context, struct tf_keys *keys, struct tf_error *error)
{
    int result = 0;
    (void)context;
    for (size_t i = 0; result == 0 && i < live.count; i++)
        result = tf_keys_add(keys, live.keys[i], error);
    return result;
}

static struct tf_gc_report collect(uint64_t bytes, uint64_t unused_s, uint64_t grace_s)
{
    struct tf_gc_config const config = {
        .most_bytes = bytes, .unused_s = unused_s, .grace_s = grace_s, .add_live = add_live};
    struct tf_gc_report report = {0};
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_cache_collect(cache, &config, &report, &error) == 0, "%s", error.text);
    return report;
}

static bool is_there(uint32_t number)
{
    char path[256];
    store_path(number, path);
    bool const stored = access(path, F_OK) == 0;
    hot_path(number, "", path);
    CHECK(stored == (access(path, F_OK) == 0));
    return stored;
}

static void only_what_nobody_wants_goes(void)
{
    enter(6);
    for (uint32_t i = 0; i < 6; i++)
        age(i, 1000 + i);
    age(5, 10);
    CHECK(tf_keys_add(&live, artifact_key(1), NULL) == 0);
    CHECK(tf_cache_pin(cache, artifact_key(2), NULL) == 0 && tf_cache_is_pinned(cache, artifact_key(2)));
    CHECK(tf_cache_use(cache, artifact_key(3)));
    struct tf_gc_report report = collect(0, 100, 60);
    CHECK(report.artifacts == 6 && report.removed_artifacts == 2 && report.removed_bytes > 0);
    CHECK(!is_there(0) && is_there(1) && is_there(2) && is_there(3) && !is_there(4) && is_there(5));
    CHECK(artifact_get(cache, 0) == TF_ERR_NOT_FOUND && artifact_get(cache, 1) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    /* Nothing is asked for: nothing goes. */
    CHECK(collect(0, 0, 0).removed_artifacts == 0);
    /* Unpinned, it goes. */
    CHECK(tf_cache_unpin(cache, artifact_key(2), NULL) == 0);
    CHECK(tf_cache_unpin(cache, artifact_key(2), NULL) == TF_ERR_NOT_FOUND);
    CHECK(collect(0, 100, 60).removed_artifacts == 1 && !is_there(2));
    leave();
}

static void the_longest_unused_make_room(void)
{
    enter(8);
    for (uint32_t i = 0; i < 8; i++)
        age(i, 10000 - 100 * i); /* however long this test takes, their order stays */
    CHECK(tf_keys_add(&live, artifact_key(0), NULL) == 0);
    uint64_t bytes = 0;
    int64_t used_s = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < 8; i++) {
        tf_cache_measure(cache, artifact_key(i), &bytes, &used_s);
        int64_t const unused_s = time(NULL) - used_s;
        CHECK(bytes > 0 && unused_s >= 10000 - 100 * i && unused_s < 10100 - 100 * i);
        total += bytes;
    }
    CHECK(collect(total, 0, 0).removed_artifacts == 0);
    CHECK(collect(total - 1, 0, 0).removed_artifacts == 1 && !is_there(1) && is_there(0) && is_there(2));
    CHECK(collect(1, 0, 9450).removed_artifacts == 4 && !is_there(5) && is_there(6) && is_there(7));
    CHECK(collect(1, 0, 0).removed_artifacts == 2 && is_there(0));
    leave();
}

static void what_is_put_again_counts_as_used(void)
{
    enter(2);
    age(0, 1000);
    age(1, 1000);
    CHECK(artifact_put(cache, 0, NULL) == 0);
    CHECK(collect(0, 100, 0).removed_artifacts == 1 && is_there(0) && !is_there(1));
    leave();
}

static void clocks_that_jump_cost_nothing_that_is_wanted(void)
{
    enter(3);
    age(0, -100000); /* used in the future: the clock was put back */
    age(1, 1000000000);
    CHECK(tf_keys_add(&live, artifact_key(1), NULL) == 0);
    CHECK(collect(1, 100, 1000).removed_artifacts == 0);
    CHECK(is_there(0) && is_there(1) && is_there(2));
    leave();
}

static int no_list(void *context, struct tf_keys *keys, struct tf_error *error)
{
    (void)context;
    (void)keys;
    if (error != NULL)
        snprintf(error->text, sizeof(error->text), "routes cannot be read");
    return TF_ERR_CORRUPT;
}

static void without_knowing_what_is_live_nothing_goes(void)
{
    enter(2);
    age(0, 1000);
    struct tf_gc_config const config = {.most_bytes = 1, .unused_s = 1, .add_live = no_list};
    struct tf_gc_report report;
    CHECK(tf_cache_collect(cache, &config, &report, NULL) == TF_ERR_CORRUPT);
    CHECK(is_there(0) && is_there(1));
    leave();
}

static void the_index_follows(void)
{
    char key[TF_HASH_HEX_BYTES], source[TF_HASH_HEX_BYTES];
    enter(2);
    for (uint32_t i = 0; i < 2; i++) {
        strcpy(source, artifact_key(i + 10));
        CHECK(tf_cache_index_put(cache, source, "f", artifact_key(i), NULL) == 0);
        age(i, 1000 * (2 - i));
    }
    CHECK(collect(0, 1500, 0).removed_entries == 1);
    CHECK(tf_cache_index_find(cache, artifact_key(10), "f", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(tf_cache_index_find(cache, artifact_key(11), "f", key, NULL) == 0);
    leave();
}

static void pins_want_an_artifact(void)
{
    enter(1);
    CHECK(tf_cache_pin(cache, artifact_key(9), NULL) == TF_ERR_NOT_FOUND);
    CHECK(tf_cache_pin(cache, "../../etc/passwd", NULL) == TF_ERR_USAGE);
    CHECK(tf_cache_unpin(cache, "", NULL) == TF_ERR_USAGE);
    CHECK(!tf_cache_is_pinned(cache, "..") && !tf_cache_is_pinned(cache, artifact_key(0)));
    leave();
}

/* ---- verification ---- */

static char wrong[8][512];
static unsigned wrong_count;

static void note(void *context, const char *path, const char *why)
{
    (void)context;
    CHECK(why[0] != '\0');
    if (wrong_count < 8)
        snprintf(wrong[wrong_count], sizeof(wrong[0]), "%s", path);
    wrong_count++;
}

static unsigned verify(void)
{
    struct tf_cache_verdict verdict;
    struct tf_cache *reader = cache_open(TF_CACHE_READ);
    wrong_count = 0;
    CHECK(tf_cache_verify(reader, note, NULL, &verdict, NULL) == 0);
    CHECK(verdict.wrong == wrong_count);
    tf_cache_close(&reader);
    return wrong_count;
}

static void what_is_wrong_is_named(void)
{
    enter(4);
    char path[256], source[TF_HASH_HEX_BYTES];
    strcpy(source, artifact_key(20));
    CHECK(tf_cache_index_put(cache, source, "f", artifact_key(0), NULL) == 0);
    CHECK(verify() == 0);
    hot_path(1, "module.so", path);
    CHECK(truncate(path, 10) == 0);
    CHECK(verify() == 1 && strstr(wrong[0], artifact_key(1)) != NULL && strncmp(wrong[0], "hot/", 4) == 0);
    store_path(2, path);
    CHECK(truncate(path, 10) == 0);
    CHECK(verify() == 2 && strstr(wrong[0], artifact_key(2)) != NULL && strncmp(wrong[0], "store/", 6) == 0);
    CHECK(count_lines("find index -type f -exec truncate -s 10 {} +") == 0);
    CHECK(verify() == 3 && strncmp(wrong[2], "index/", 6) == 0);
    CHECK(count_lines("touch store/stray hot/ab-stray") == 0);
    CHECK(verify() == 5);
    leave();
}

/* ---- two at once ---- */

/* Whether somebody waits for a lock on the cache's folder, by the kernel's own list. */
static bool is_somebody_waiting(void)
{
    struct stat status;
    CHECK(stat(cache_folder, &status) == 0);
    FILE *const locks = fopen("/proc/locks", "re");
    char line[256], inode[32];
    bool found = false;
    snprintf(inode, sizeof(inode), ":%lu ", (unsigned long)status.st_ino);
    while (locks != NULL && fgets(line, sizeof(line), locks) != NULL)
        found |= strstr(line, "-> FLOCK") != NULL && strstr(line, inode) != NULL;
    if (locks != NULL)
        fclose(locks);
    return found;
}

/* False: it ended instead, and was waited for. */
static bool comes_to_wait(pid_t child)
{
    pid_t ended = 0;
    while (ended == 0 && !is_somebody_waiting()) {
        usleep(1000);
        ended = waitpid(child, NULL, WNOHANG);
    }
    return ended == 0;
}

static bool has_ended_well(pid_t child)
{
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_collection_waits_for_who_holds_the_cache(void)
{
    enter(2);
    age(0, 1000);
    age(1, 1000);
    int const held = tf_cache_hold(cache), also_held = tf_cache_hold(cache); /* builders do not exclude each other */
    CHECK(held >= 0 && also_held >= 0);
    pid_t const child = fork();
    if (child == 0) {
        close(held); /* inherited; the parent's count */
        close(also_held);
        struct tf_cache *const mine = cache_open(TF_CACHE_WRITE);
        struct tf_gc_config const config = {.unused_s = 100, .add_live = add_live};
        struct tf_gc_report report;
        _exit(tf_cache_collect(mine, &config, &report, NULL) == 0 && report.removed_artifacts == 1 ? 0 : 1);
    }
    bool const waits = comes_to_wait(child);
    CHECK_MESSAGE(waits, "the collection did not wait");
    CHECK(is_there(0) && is_there(1));
    tf_cache_release(also_held);
    /* What was found meanwhile is used, and stays. */
    CHECK(tf_cache_use(cache, artifact_key(0)) && is_somebody_waiting());
    tf_cache_release(held);
    CHECK(!waits || has_ended_well(child));
    CHECK(is_there(0) && !is_there(1));
    leave();
}

/* A put looks at store/ first, and then at hot/: a collection in between would make it fail, or lose half of it. */
static void a_put_waits_for_a_collection(void)
{
    enter(1);
    int const collecting = open(cache_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(collecting >= 0 && flock(collecting, LOCK_EX) == 0);
    pid_t const child = fork();
    if (child == 0) {
        close(collecting);
        _exit(artifact_put(cache, 0, NULL) == 0 && artifact_put(cache, 1, NULL) == 0 ? 0 : 1);
    }
    bool const waits = comes_to_wait(child);
    CHECK_MESSAGE(waits, "the put did not wait");
    close(collecting);
    CHECK(!waits || has_ended_well(child));
    CHECK(is_there(0) && is_there(1));
    leave();
}

/* ---- kill -9 ---- */

/* Puts, uses and collects until it is killed. Ends by itself only where one of these failed, and says why in `ret_why`,
 * which is shared with the parent. */
static void work(uint32_t seed, struct tf_error *ret_why)
{
    struct tf_cache *mine = NULL;
    if (tf_cache_open(cache_folder, TF_CACHE_WRITE, &mine, ret_why) != 0)
        _exit(1);
    for (uint32_t i = seed;; i = i * 1664525u + 1013904223u) {
        uint32_t const number = i >> 24 & 7;
        struct tf_gc_config const config = {.most_bytes = 40000, .add_live = add_live};
        struct tf_gc_report report;
        if ((i >> 16 & 3) == 0 && tf_cache_collect(mine, &config, &report, ret_why) != 0)
            _exit(2);
        if (artifact_put(mine, 10 + number, ret_why) != 0)
            _exit(3);
        tf_cache_use(mine, artifact_key(10 + number));
    }
}

static void killed_at_any_moment_it_is_whole_and_nothing_live_is_lost(void)
{
    enter(3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(tf_keys_add(&live, artifact_key(i), NULL) == 0);
    const char *const said = getenv("TF_TEST_KILLS");
    unsigned const kills = said != NULL ? (unsigned)strtoul(said, NULL, 10) : 25;
    size_t const size = 2 * sizeof(struct tf_error);
    struct tf_error *const why = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(why != MAP_FAILED);
    for (unsigned k = 0; why != MAP_FAILED && k < kills; k++) {
        pid_t children[2];
        for (int c = 0; c < 2; c++) {
            if ((children[c] = fork()) == 0)
                work(k * 2654435761u + (uint32_t)c, &why[c]);
        }
        usleep(1000 + k * 7919 % 30000);
        for (int c = 0; c < 2; c++) {
            int status = 0;
            CHECK(kill(children[c], SIGKILL) == 0 && waitpid(children[c], &status, 0) == children[c]);
            CHECK_MESSAGE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill %u: status %#x: %s", k,
                          (unsigned)status, why[c].text);
        }
        CHECK_MESSAGE(verify() == 0, "kill %u: %s", k, wrong[0]);
        for (uint32_t i = 0; i < 3; i++)
            CHECK(artifact_get(cache, i) == 0);
    }
    munmap(why, size);
    leave();
}

TEST_MAIN(TEST(only_what_nobody_wants_goes), TEST(the_longest_unused_make_room),
          TEST(what_is_put_again_counts_as_used), TEST(clocks_that_jump_cost_nothing_that_is_wanted),
          TEST(without_knowing_what_is_live_nothing_goes), TEST(the_index_follows), TEST(pins_want_an_artifact),
          TEST(what_is_wrong_is_named),
          TEST(a_collection_waits_for_who_holds_the_cache), TEST(a_put_waits_for_a_collection),
          TEST(killed_at_any_moment_it_is_whole_and_nothing_live_is_lost))
