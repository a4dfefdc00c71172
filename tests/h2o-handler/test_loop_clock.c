/* The system's clock is set while a loop runs: its timers do not notice, its Date header does. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "h2o-handler/http_date.h"
#include "h2o-handler/server.h"
#include "tests/check.h"

#define HOUR_S 3600
#define NEAR_S 300 /* a test may be kept waiting */

/* What libraries are to find in place of their own must be visible to them. */
#define FOR_LIBRARIES __attribute__((visibility("default")))

/* libh2o closes a context's queue and forgets it. */
FOR_LIBRARIES const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_multithread_create_queue\n";
}

static _Atomic long set_by_s;

/* In place of libc's: what the system's clock would say had it been set. */
FOR_LIBRARIES int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    long const result = syscall(SYS_clock_gettime, clock, ret_time);
    if (clock == CLOCK_REALTIME)
        ret_time->tv_sec += set_by_s;
    return (int)result;
}

static struct tf_server server;

static void no_request(struct tf_server *of, h2o_req_t *req)
{
    (void)of;
    (void)req;
}

static void start(void)
{
    struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_error error = {0};
    set_by_s = 0;
    CHECK(tf_server_init(&server, &limits, NULL, 0, no_request, NULL, &error) == 0);
}

/* Until the loop's own millisecond is another. */
static void let_time_pass(void)
{
    uint64_t const before = h2o_now(server.loop);
    for (int i = 0; i < 10000 && h2o_now(server.loop) == before; i++)
        tf_server_turn(&server, 1);
    CHECK(h2o_now(server.loop) != before);
}

static bool is_near(int64_t a, int64_t b)
{
    return llabs(a - b) <= NEAR_S;
}

static int64_t system_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static void check_date(void)
{
    let_time_pass();
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    h2o_timestamp_t stamp;
    h2o_get_timestamp(&server.context, &pool, &stamp);
    CHECK(is_near(stamp.at.tv_sec, system_s()));
    char expected[TF_HTTP_DATE_BYTES];
    tf_http_date_format(stamp.at.tv_sec, expected);
    CHECK_MESSAGE(strcmp(stamp.str->rfc1123, expected) == 0, "%s, expected %s", stamp.str->rfc1123, expected);
    h2o_mem_clear_pool(&pool);
}

static bool has_fired;

static void on_timeout(h2o_timeout_entry_t *entry)
{
    (void)entry;
    has_fired = true;
}

static void test_timers_keep_their_time(void)
{
    static const long jumps[] = {2 * HOUR_S, -2 * HOUR_S, 0};
    start();
    uint64_t const began_ms = h2o_now(server.loop);
    h2o_timeout_t hour, moment;
    h2o_timeout_init(server.loop, &hour, HOUR_S * 1000);
    h2o_timeout_init(server.loop, &moment, 5);
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        h2o_timeout_entry_t late = {.cb = on_timeout}, soon = {.cb = on_timeout};
        has_fired = false;
        h2o_timeout_link(server.loop, &hour, &late);
        set_by_s = jumps[i];
        let_time_pass();
        CHECK_MESSAGE(!has_fired, "an hour ends when the clock is set by %ld s", jumps[i]);
        h2o_timeout_unlink(&late);
        h2o_timeout_link(server.loop, &moment, &soon);
        /* The other way round: what is due would wait for hours. */
        set_by_s = -jumps[i];
        for (int turn = 0; turn < 10000 && !has_fired; turn++)
            tf_server_turn(&server, 1);
        CHECK_MESSAGE(has_fired, "5 ms do not end when the clock is set by %ld s", -jumps[i]);
        h2o_timeout_unlink(&soon);
        CHECK(is_near((int64_t)h2o_now(server.loop) / 1000, (int64_t)began_ms / 1000));
        check_date();
    }
    h2o_timeout_dispose(server.loop, &hour);
    h2o_timeout_dispose(server.loop, &moment);
    tf_server_dispose(&server);
}

static void *ask_elsewhere(void *ret_seconds)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    *(int64_t *)ret_seconds = now.tv_sec;
    return NULL;
}

static void test_others_hear_the_systems(void)
{
    start();
    set_by_s = 2 * HOUR_S;
    pthread_t thread;
    int64_t seconds = 0;
    CHECK(pthread_create(&thread, NULL, ask_elsewhere, &seconds) == 0);
    pthread_join(thread, NULL);
    CHECK(is_near(seconds, system_s()));
    ask_elsewhere(&seconds); /* here, it goes on evenly */
    CHECK(is_near(seconds, system_s() - 2 * HOUR_S));
    tf_server_dispose(&server);
    ask_elsewhere(&seconds);
    CHECK(is_near(seconds, system_s()));
}

TEST_MAIN(TEST(test_timers_keep_their_time), TEST(test_others_hear_the_systems))
