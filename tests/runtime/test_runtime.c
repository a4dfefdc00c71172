/* The runtime's promises, on artifacts written by hand (fake_guest.c), for both ways of finding writes. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/guest.h"
#include "runtime/runtime.h"
#include "tests/check.h"
#include "tests/runtime/harness.h"

/* Only what is meant to run out of time has little of it: a busy machine takes some too. */
static struct tf_runtime_config config_for(enum tf_outcome outcome)
{
    struct tf_runtime_config result = config();
    if (outcome != TF_OUTCOME_CPU_OVER) {
        result.limits.cpu_ms = 20000;
        result.limits.wall_ms = 40000;
    }
    return result;
}

static void expect(const char *name, enum tf_outcome outcome, enum tf_trap trap)
{
    struct tf_runtime_config const settings = config_for(outcome);
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, name);
    struct tf_function *sane = function_new(runtime, "fake_state");
    for (int i = 0; i < 3; i++) {
        struct ending const ending = run_once(function);
        CHECK_MESSAGE(ending.outcome == outcome && ending.trap == trap, "%s: outcome %d trap %s", name,
                      ending.outcome, tf_trap_name(ending.trap));
        struct ending const next = run_once(sane);
        CHECK_MESSAGE(next.outcome == TF_OUTCOME_RETURNED && next.status == 200, "after %s: %u", name, next.status);
    }
    tf_function_destroy(&function);
    tf_function_destroy(&sane);
    tf_runtime_destroy(&runtime);
}

static void test_endings(void)
{
    expect("fake_return", TF_OUTCOME_RETURNED, TF_TRAP_NONE);
    expect("fake_return_large", TF_OUTCOME_RETURNED, TF_TRAP_NONE);
    expect("fake_unreachable", TF_OUTCOME_TRAPPED, TF_TRAP_UNREACHABLE);
    expect("fake_divide", TF_OUTCOME_TRAPPED, TF_TRAP_DIVIDE_BY_ZERO);
    expect("fake_out_of_bounds", TF_OUTCOME_TRAPPED, TF_TRAP_OUT_OF_BOUNDS);
    expect("fake_far_out_of_bounds", TF_OUTCOME_TRAPPED, TF_TRAP_OUT_OF_BOUNDS);
    expect("fake_recurse", TF_OUTCOME_TRAPPED, TF_TRAP_STACK_EXHAUSTED);
    expect("fake_recurse_with_host_calls", TF_OUTCOME_TRAPPED, TF_TRAP_STACK_EXHAUSTED);
    expect("fake_spin", TF_OUTCOME_CPU_OVER, TF_TRAP_NONE);
    expect("fake_spin_in_host_calls", TF_OUTCOME_CPU_OVER, TF_TRAP_NONE);
    expect("fake_start_trap", TF_OUTCOME_TRAPPED, TF_TRAP_INTEGER_OVERFLOW);
}

/* Every request starts from the same state, whichever way the one before ended and whatever slot it gets. */
static void fresh_state(const char *name, enum tf_outcome outcome)
{
    struct tf_runtime_config const settings = config_for(outcome);
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *spoiler = function_new(runtime, name);
    for (int i = 0; i < 5; i++) {
        struct ending const ending = run_once(spoiler);
        CHECK_MESSAGE(ending.outcome == outcome, "%s round %d: outcome %d", name, i, ending.outcome);
        if (outcome == TF_OUTCOME_RETURNED)
            CHECK_MESSAGE(ending.status == 200, "%s round %d: status %u", name, i, ending.status);
    }
    tf_function_destroy(&spoiler);
    /* The slot it had goes to another function next. */
    struct tf_function *next = function_new(runtime, "fake_state");
    CHECK(run_once(next).status == 200);
    tf_function_destroy(&next);
    tf_runtime_destroy(&runtime);
}

static void test_fresh_state(void)
{
    fresh_state("fake_state", TF_OUTCOME_RETURNED);
    fresh_state("fake_state_strict", TF_OUTCOME_RETURNED);
    fresh_state("fake_fill", TF_OUTCOME_RETURNED);
    fresh_state("fake_state_then_trap", TF_OUTCOME_TRAPPED);
    fresh_state("fake_state_then_spin", TF_OUTCOME_CPU_OVER);
    fresh_state("fake_after_start", TF_OUTCOME_RETURNED);
    fresh_state("fake_after_start_each", TF_OUTCOME_RETURNED);
}

/* Interleaved guests of one function see their own slots only, and a snapshot taken meanwhile changes none of them. */
static void test_interleaved(void)
{
    struct tf_runtime_config const settings = config();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_after_start");
    for (int round = 0; round < 3; round++) {
        struct tf_guest *pair[2];
        struct tf_error error;
        for (int i = 0; i < 2; i++)
            CHECK(tf_guest_start(function, &request, NULL, &pair[i], &error) == 0);
        CHECK(tf_function_guests(function) == 2);
        for (int i = 0; i < 2; i++) {
            CHECK(resume(pair[i]) == TF_OUTCOME_RETURNED);
            CHECK_MESSAGE(tf_guest_response(pair[i])->status == 200, "%u", tf_guest_response(pair[i])->status);
        }
        for (int i = 0; i < 2; i++)
            tf_guest_finish(&pair[i]);
    }
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

/* Four guests that compute, switched at every slice, of both lengths: each result is what an undisturbed run gives. */
static void test_preemption_is_exact(void)
{
    struct tf_runtime_config settings = config();
    settings.limits.cpu_ms = 60000;
    settings.limits.wall_ms = 60000;
    settings.slice_us = 1000;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_compute");
    unsigned const expected = run_once(function).status;
    struct tf_guest *guests_running[4];
    bool ended[4] = {false};
    unsigned left = 4, preempted = 0;
    struct tf_error error;
    for (int i = 0; i < 4; i++)
        CHECK(tf_guest_start(function, &request, NULL, &guests_running[i], &error) == 0);
    while (left > 0) {
        for (int i = 0; i < 4; i++) {
            if (ended[i])
                continue;
            tf_runtime_halve_slices(runtime, (preempted & 2) != 0);
            enum tf_outcome const outcome = tf_guest_resume(guests_running[i]);
            preempted += outcome == TF_OUTCOME_PREEMPTED;
            if (outcome == TF_OUTCOME_PREEMPTED)
                continue;
            CHECK(outcome == TF_OUTCOME_RETURNED);
            CHECK_MESSAGE(tf_guest_response(guests_running[i])->status == expected, "%u, expected %u",
                          tf_guest_response(guests_running[i])->status, expected);
            ended[i] = true;
            left--;
        }
    }
    CHECK_MESSAGE(preempted >= 8, "%u", preempted);
    for (int i = 0; i < 4; i++)
        tf_guest_finish(&guests_running[i]);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

/* More functions than slots: idle slots are taken back; more guests than slots: refused, and fine again afterwards. */
static void test_slots_are_bounded(void)
{
    struct tf_runtime_config settings = config();
    settings.limits.slots = 2;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *functions[6];
    struct tf_error error;
    for (int i = 0; i < 6; i++)
        functions[i] = function_new(runtime, "fake_state");
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 6; i++)
            CHECK(run_once(functions[i]).status == 200);
    struct tf_guest *running[3];
    for (int i = 0; i < 2; i++)
        CHECK(tf_guest_start(functions[i], &request, NULL, &running[i], &error) == 0);
    CHECK(tf_guest_start(functions[2], &request, NULL, &running[2], &error) == TF_ERR_NO_SLOT);
    tf_guest_finish(&running[0]);
    CHECK(run_once(functions[2]).status == 200);
    tf_guest_finish(&running[1]);
    for (int i = 0; i < 6; i++)
        tf_function_destroy(&functions[i]);
    tf_runtime_destroy(&runtime);
}

/* ---- a world of the test's own, with one call that parks ---- */

struct sleeper {
    struct tf_guest *guest;
    uint32_t asked_ms, answer;
};

static uint32_t host_sleep(void *header, uint32_t ms)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct sleeper *const sleeper = tf_guest_context(guest);
    sleeper->asked_ms = ms;
    tf_guest_park(guest);
    return sleeper->answer;
}

static const struct tf_abi_host sleeping_world = {
    .memory_grow = tf_guest_memory_grow,
    .rows = {(void (*)(void))host_sleep},
};

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "re");
    CHECK(file != NULL && fscanf(file, "%*u %llu", &pages) == 1);
    if (file != NULL)
        fclose(file);
    return pages * 4096;
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t const x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* For people: what a function takes, from start to reset, at the 99th percentile, ns. */
static uint64_t p99_ns(struct tf_function *function)
{
    static uint64_t samples[2000];
    for (size_t i = 0; i < 2000; i++) {
        uint64_t const start = tf_clock_ns();
        run_once(function);
        samples[i] = tf_clock_ns() - start;
    }
    qsort(samples, 2000, sizeof(samples[0]), compare_ns);
    return samples[1980];
}

/* Many guests parked at once: each is woken in turn with its own answer, and another function answers meanwhile. */
static void park_many(unsigned count, bool drop_half)
{
    struct tf_runtime_config settings = config();
    settings.limits.slots = count + 1;
    settings.limits.worker_memory_bytes = 64ull << 30;
    settings.limits.function_concurrency = count;
    settings.limits.wall_ms = 60000;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function_source from = source("fake_park");
    from.host = &sleeping_world;
    struct tf_function *function = NULL, *other = function_new(runtime, "fake_state");
    struct tf_error error;
    CHECK(tf_function_create(runtime, &from, &function, &error) == 0);
    struct sleeper *const sleepers = calloc(count, sizeof(sleepers[0]));
    uint64_t const before = resident_bytes(), idle_ns = p99_ns(other);
    for (unsigned i = 0; i < count; i++) {
        CHECK_MESSAGE(tf_guest_start(function, &request, &sleepers[i], &sleepers[i].guest, &error) == 0, "%u: %s", i,
                      error.text);
        CHECK(resume(sleepers[i].guest) == TF_OUTCOME_PARKED && sleepers[i].asked_ms == 1);
    }
    printf("%u parked guests: %.1f KiB resident each\n", count, (double)(resident_bytes() - before) / count / 1024);
    printf("another function meanwhile: p99 %llu ns, %llu ns without them\n", (unsigned long long)p99_ns(other),
           (unsigned long long)idle_ns);
    CHECK(run_once(other).status == 200);
    for (uint32_t turn = 1; turn <= 3; turn++) {
        for (unsigned i = count; i-- > 0;) {
            if (drop_half && i % 2 == 0 && turn == 2)
                tf_guest_finish(&sleepers[i].guest); /* the client went away */
            if (sleepers[i].guest == NULL)
                continue;
            sleepers[i].answer = 1000 + turn;
            tf_guest_wake(sleepers[i].guest);
            enum tf_outcome const outcome = resume(sleepers[i].guest);
            CHECK(outcome == (turn < 3 ? TF_OUTCOME_PARKED : TF_OUTCOME_RETURNED));
        }
    }
    for (unsigned i = 0; i < count; i++)
        tf_guest_finish(&sleepers[i].guest);
    CHECK(tf_function_guests(function) == 0 && run_once(other).status == 200);
    free(sleepers);
    tf_function_destroy(&function);
    tf_function_destroy(&other);
    tf_runtime_destroy(&runtime);
}

static void test_park(void)
{
    park_many(5, false);
    park_many(300, true);
}

static void test_park_10000(void)
{
    park_many(10000, true);
}

static void test_reserve_16000(void)
{
    struct tf_runtime_config settings = config();
    settings.limits.slots = 16000;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_state");
    CHECK(run_once(function).status == 200);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

/* Host memory right below a linear memory, where no guest address reaches: a guest that got there would be our bug, so
 * the process must crash with a report, not go on. */
static void test_host_fault_is_a_crash(void)
{
    pid_t const child = fork();
    if (child == 0) {
        FILE *const quiet = freopen("/dev/null", "w", stderr);
        struct tf_runtime_config const settings = config();
        struct tf_runtime *runtime = quiet != NULL ? runtime_new(&settings) : NULL;
        run_once(function_new(runtime, "fake_below_memory"));
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST_MAIN(TEST(test_endings), TEST(test_fresh_state), TEST(test_interleaved), TEST(test_preemption_is_exact),
          TEST(test_slots_are_bounded), TEST(test_park), TEST(test_park_10000), TEST(test_reserve_16000),
          TEST(test_host_fault_is_a_crash))
