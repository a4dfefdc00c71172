/* Several writers and readers at once, in processes and in threads. */
#include "tests/cache/artifact.h"

#include <pthread.h>
#include <sys/wait.h>

#define KEYS 25u
#define REPAIRS 60

static void wait_for(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static pid_t start(int (*work)(void))
{
    fflush(NULL);
    pid_t const child = fork();
    if (child == 0)
        _exit(work());
    CHECK(child > 0);
    return child;
}

static int put_all(void)
{
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (artifact_put(cache, i, NULL) != 0 || artifact_get(cache, i) != 0)
            return 1;
        if (tf_cache_index_put(cache, artifact_key(i), "f", artifact_key(i), NULL) != 0)
            return 2;
    }
    tf_cache_close(&cache);
    return tf_check_failures != 0;
}

static void two_processes_put_the_same_keys(void)
{
    cache_enter();
    pid_t const first = start(put_all), second = start(put_all);
    wait_for(first);
    wait_for(second);
    struct tf_cache *cache = cache_open(TF_CACHE_READ);
    for (uint32_t i = 0; i < KEYS; i++)
        CHECK(artifact_get(cache, i) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

static void *put_in_thread(void *context)
{
    struct tf_cache *const cache = context;
    for (uint32_t i = 0; i < KEYS; i++) {
        if (artifact_put(cache, i, NULL) != 0)
            return cache;
    }
    return NULL;
}

static void two_threads_share_a_cache(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    pthread_t threads[2];
    void *failed;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, put_in_thread, cache) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
    for (uint32_t i = 0; i < KEYS; i++)
        CHECK(artifact_get(cache, i) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

/* Damages artifact 1 by a new file under its name: never the file that a reader may have open. */
static int damage_and_repair(void)
{
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    char path[256];
    hot_path(1, "module.so", path);
    for (int i = 0; i < REPAIRS; i++) {
        char temporary[300];
        snprintf(temporary, sizeof(temporary), "%s/damage-%d", cache_folder, (int)getpid());
        int const fd = open(temporary, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        if (write(fd, "damaged", 7) != 7)
            return 1;
        close(fd);
        if (rename(temporary, path) != 0)
            unlink(temporary);
        tf_cache_has(cache, artifact_key(1));
    }
    tf_cache_close(&cache);
    return tf_check_failures != 0;
}

static int read_all_the_time(void)
{
    struct tf_cache *cache = cache_open(TF_CACHE_READ);
    for (int i = 0; i < 2000; i++) {
        int const result = artifact_get(cache, 1);
        /* Between two writers an artifact may look damaged, but never be another one. */
        if (result != 0 && result != TF_ERR_CORRUPT && result != TF_ERR_NOT_FOUND)
            return 1;
    }
    tf_cache_close(&cache);
    return tf_check_failures != 0;
}

static void repairs_at_once_end_in_a_whole_artifact(void)
{
    cache_enter();
    struct tf_cache *cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, 1, NULL) == 0);
    pid_t const children[] = {start(damage_and_repair), start(damage_and_repair), start(read_all_the_time)};
    for (size_t i = 0; i < 3; i++)
        wait_for(children[i]);
    CHECK(tf_cache_has(cache, artifact_key(1)));
    CHECK(artifact_get(cache, 1) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    tf_cache_close(&cache);
    cache_leave();
}

TEST_MAIN(TEST(two_processes_put_the_same_keys), TEST(two_threads_share_a_cache),
          TEST(repairs_at_once_end_in_a_whole_artifact))
