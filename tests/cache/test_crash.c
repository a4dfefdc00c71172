/*
 * kill -9 at any moment: a writer is killed again and again, and after each time every artifact whose put had returned
 * is whole, and every other is whole or absent.
 */
#include "tests/cache/artifact.h"

#include <signal.h>
#include <sys/wait.h>

#include "cache/internal.h"

#define PUT_KILLS 110
#define REPAIR_KILLS 40

static uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 12345;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % limit;
}

/* Starts a child that works until it is killed, and kills it some time after its first report. Returns the last number
 * it reported, or `none`. */
static uint32_t kill_writer(void (*work)(uint32_t first, int report_fd), uint32_t first, uint32_t none)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t const child = fork();
    if (child == 0) {
        close(ends[0]);
        work(first, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    uint32_t last = none, number;
    if (random_below(4) != 0 && read(ends[0], &number, sizeof(number)) == sizeof(number))
        last = number;
    usleep(random_below(6000));
    CHECK(kill(child, SIGKILL) == 0);
    while (read(ends[0], &number, sizeof(number)) == sizeof(number))
        last = number;
    close(ends[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

static void put_for_ever(uint32_t number, int report_fd)
{
    struct tf_cache *const cache = cache_open(TF_CACHE_WRITE);
    for (;; number++) {
        if (artifact_put(cache, number, NULL) != 0 ||
            tf_cache_index_put(cache, artifact_key(number), "f", artifact_key(number), NULL) != 0 ||
            write(report_fd, &number, sizeof(number)) != sizeof(number))
            return;
    }
}

static bool is_in_index(struct tf_cache *cache, uint32_t number)
{
    char found[TF_HASH_HEX_BYTES];
    return tf_cache_index_find(cache, artifact_key(number), "f", found, NULL) == 0 &&
           strcmp(found, artifact_key(number)) == 0;
}

static void age_temporaries(void)
{
    CHECK(count_lines("find tmp -mindepth 1 -maxdepth 1 -exec touch -h -d '2 hours ago' {} +") == 0);
}

static void killed_puts_leave_whole_artifacts(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    uint32_t next = 0; /* all below are put */
    for (int round = 0; round < PUT_KILLS; round++) {
        uint32_t const last = kill_writer(put_for_ever, next, UINT32_MAX);
        uint32_t const done = last == UINT32_MAX ? next : last + 1;
        for (uint32_t i = next; i < done; i++)
            CHECK(artifact_get(cache, i) == 0 && is_in_index(cache, i));
        for (int i = 0; i < 5 && done > 0; i++)
            CHECK(artifact_get(cache, random_below(done)) == 0);
        /* The one that was being put. */
        int const hot = artifact_get(cache, done), stored = tf_store_read(cache, artifact_key(done), NULL, NULL);
        CHECK(hot == 0 || hot == TF_ERR_NOT_FOUND);
        CHECK(stored == 0 || (stored == TF_ERR_NOT_FOUND && hot != 0));
        CHECK(tf_cache_has(cache, artifact_key(done)) == (stored == 0));
        next = done;
    }
    CHECK(next > 0);
    for (uint32_t i = 0; i < next; i++)
        CHECK(artifact_get(cache, i) == 0 && tf_store_read(cache, artifact_key(i), NULL, NULL) == 0);
    CHECK(count_lines("find hot -mindepth 2 -maxdepth 2") <= next + 1);
    tf_cache_close(&cache);
    age_temporaries();
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

/* Damages artifact 1 and has it repaired, for ever. */
static void repair_for_ever(uint32_t number, int report_fd)
{
    struct tf_cache *const cache = cache_open(TF_CACHE_WRITE);
    char path[256];
    hot_path(1, "module.so", path);
    for (;; number++) {
        if (truncate(path, number % 500) != 0 || !tf_cache_has(cache, artifact_key(1)) ||
            write(report_fd, &number, sizeof(number)) != sizeof(number))
            return;
    }
}

static void killed_repairs_can_be_repaired(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0 && artifact_put(cache, 2, NULL) == 0);
    for (int round = 0; round < REPAIR_KILLS; round++) {
        kill_writer(repair_for_ever, 0, 0);
        int const result = artifact_get(cache, 1);
        CHECK(result == 0 || result == TF_ERR_CORRUPT);
        CHECK(tf_cache_has(cache, artifact_key(1)));
        CHECK(artifact_get(cache, 1) == 0 && artifact_get(cache, 2) == 0);
    }
    tf_cache_close(&cache);
    age_temporaries();
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

TEST_MAIN(TEST(killed_puts_leave_whole_artifacts), TEST(killed_repairs_can_be_repaired))
