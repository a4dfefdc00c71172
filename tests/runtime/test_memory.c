/*
 * Who has how much of a worker's memory, and how large ones are put back: soiled slots, the worker's budget, a tenant's
 * share, on artifacts written by hand and for both ways of finding writes.
 */
#include "runtime/internal.h"

#include "tests/check.h"
#include "tests/runtime/harness.h"

#define MIB (1ull << 20)
#define START_BYTES (20 * 65536ull)  /* of all fake guests: PAGES_MIN */
#define FILL_BYTES (420 * 65536ull)  /* what fake_fill grows to */

static struct tf_runtime_config patient(void)
{
    struct tf_runtime_config result = config();
    result.limits.cpu_ms = 20000;
    result.limits.wall_ms = 40000;
    return result;
}

static struct tf_runtime_counters counters_of(const struct tf_runtime *runtime)
{
    struct tf_runtime_counters counters;
    tf_runtime_counters(runtime, &counters);
    return counters;
}

static struct tf_guest *start(struct tf_function *function, struct tf_tenant *tenant, int expected)
{
    struct tf_request const of_tenant = {.method = {"GET", 3}, .path = {"/", 1}, .tenant = tenant};
    static struct tf_request requests[64]; /* they outlive their guests */
    static unsigned next;
    struct tf_request *const request_here = &requests[next++ % 64];
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    *request_here = of_tenant;
    int const code = tf_guest_start(function, request_here, NULL, &guest, &error);
    CHECK_MESSAGE(code == expected, "%d, not %d: %s", code, expected, error.text);
    return guest;
}

static unsigned fill(struct tf_function *function)
{
    struct ending const ending = run_once(function);
    CHECK(ending.outcome == TF_OUTCOME_RETURNED);
    return ending.status;
}

/* Put back to the end, in part, or not at all before the next request: it never sees anything. */
static void test_large_memories_are_put_back_later(void)
{
    struct tf_runtime_config const settings = patient();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_fill");
    CHECK(fill(function) == 200);
    CHECK(counters_of(runtime).memory_soiled_bytes == FILL_BYTES);
    CHECK(function->ready == NULL && runtime->soiled != NULL);
    unsigned steps = 0;
    while (tf_runtime_clean(runtime) && steps < 1000)
        steps++;
    CHECK(runtime->soiled == NULL && function->ready_count == 1);
    CHECK(counters_of(runtime).memory_soiled_bytes == 0 && counters_of(runtime).memory_bytes == START_BYTES);
    CHECK(fill(function) == 200);
    CHECK(!tf_runtime_clean(runtime) || runtime->soiled->dropped_bytes > 0);
    for (int i = 0; i < 20; i++) { /* more than there are slots */
        CHECK(fill(function) == 200);
        if (i % 3 == 0)
            tf_runtime_clean(runtime);
    }
    CHECK(counters_of(runtime).memory_soiled_bytes <= 8 * FILL_BYTES);
    while (tf_runtime_clean(runtime))
        ;
    CHECK(fill(function) == 200);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

/* A function that goes takes its soiled slots along, half-way or not, and no one else's. */
static void test_destroy_while_soiled(void)
{
    struct tf_runtime_config const settings = patient();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *one = function_new(runtime, "fake_fill"), *other = function_new(runtime, "fake_fill");
    struct tf_function *state = function_new(runtime, "fake_state");
    struct tf_guest *const pair[] = {start(one, NULL, 0), start(one, NULL, 0), start(other, NULL, 0)};
    for (int i = 0; i < 3; i++) {
        struct tf_guest *guest = pair[i];
        CHECK(resume(guest) == TF_OUTCOME_RETURNED);
        tf_guest_finish(&guest);
    }
    runtime->clean_ticks = 0; /* one step a call */
    CHECK(tf_runtime_clean(runtime));
    CHECK(counters_of(runtime).memory_soiled_bytes == 3 * FILL_BYTES);
    tf_function_destroy(&one);
    CHECK(counters_of(runtime).memory_soiled_bytes == FILL_BYTES && counters_of(runtime).slots_bound == 1);
    CHECK(fill(state) == 200);
    CHECK(runtime->soiled != NULL && runtime->soiled->function == other);
    tf_function_destroy(&other);
    CHECK(runtime->soiled == NULL && !tf_runtime_clean(runtime));
    for (int i = 0; i < 10; i++)
        CHECK(fill(state) == 200);
    tf_function_destroy(&state);
    CHECK(counters_of(runtime).memory_bytes == 0 && counters_of(runtime).slots_bound == 0);
    tf_runtime_destroy(&runtime);
}

/* Where all slots are soiled, a start takes one of them. */
static void test_soiled_slots_give_way(void)
{
    struct tf_runtime_config settings = patient();
    settings.limits.slots = 2;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_fill"), *state = function_new(runtime, "fake_state");
    struct tf_guest *a = start(function, NULL, 0), *b = start(function, NULL, 0);
    CHECK(resume(a) == TF_OUTCOME_RETURNED && resume(b) == TF_OUTCOME_RETURNED);
    start(state, NULL, TF_ERR_NO_SLOT);
    tf_guest_finish(&a);
    tf_guest_finish(&b);
    runtime->clean_ticks = 0;
    tf_runtime_clean(runtime); /* the first is half-way */
    a = start(state, NULL, 0);
    b = start(state, NULL, 0);
    CHECK(resume(a) == TF_OUTCOME_RETURNED && tf_guest_response(a)->status == 200);
    CHECK(resume(b) == TF_OUTCOME_RETURNED && tf_guest_response(b)->status == 200);
    CHECK(runtime->soiled == NULL);
    tf_guest_finish(&a);
    tf_guest_finish(&b);
    CHECK(fill(function) == 200);
    tf_function_destroy(&function);
    tf_function_destroy(&state);
    tf_runtime_destroy(&runtime);
}

/* Many hoarders at once: together they have no more than the worker's budget, and functions with small memories still
 * start; when they end, everything is given back. */
static void test_hoarders(void)
{
    struct tf_runtime_config settings = patient();
    settings.limits.slots = 64;
    settings.limits.worker_memory_bytes = 160 * MIB;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *hoard = function_new(runtime, "fake_hoard"), *state = function_new(runtime, "fake_state");
    struct tf_function *plain = function_new(runtime, "fake_return");
    struct tf_guest *hoarders[32] = {NULL};
    unsigned count = 0;
    for (; count < 4; count++)
        hoarders[count] = start(hoard, NULL, 0);
    for (int turn = 0; turn < 400 && counters_of(runtime).memory_refused < 3; turn++)
        CHECK(tf_guest_resume(hoarders[(unsigned)turn % count]) == TF_OUTCOME_PREEMPTED);
    CHECK(counters_of(runtime).memory_refused == 3); /* of four; the first had all that one may have */
    CHECK(counters_of(runtime).memory_bytes <= 150 * MIB && counters_of(runtime).memory_bytes > 100 * MIB);
    for (int i = 0; i < 3; i++)
        CHECK(run_once(plain).outcome == TF_OUTCOME_RETURNED);
    while (count < 32) {
        struct tf_guest *guest = NULL;
        struct tf_error error = {0};
        if (tf_guest_start(hoard, &request, NULL, &guest, &error) != 0) {
            CHECK(error.code == TF_ERR_NO_MEMORY);
            break;
        }
        hoarders[count++] = guest;
        CHECK(counters_of(runtime).memory_bytes <= 160 * MIB);
    }
    CHECK(count < 32);
    for (unsigned i = 0; i < count; i++)
        tf_guest_finish(&hoarders[i]);
    while (tf_runtime_clean(runtime))
        ;
    CHECK(fill(state) == 200);
    tf_function_destroy(&hoard);
    tf_function_destroy(&state);
    tf_function_destroy(&plain);
    CHECK(counters_of(runtime).memory_bytes == 0);
    tf_runtime_destroy(&runtime);
}

/* What is warm but idle gives way to what grows or starts: the function idle longest first. */
static void test_idle_memory_gives_way(void)
{
    struct tf_runtime_config settings = patient();
    settings.limits.worker_memory_bytes = 32 * MIB;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *oldest = function_new(runtime, "fake_return"), *state = function_new(runtime, "fake_state");
    struct tf_function *filler = function_new(runtime, "fake_fill");
    struct tf_guest *warm[3];
    for (int i = 0; i < 3; i++)
        warm[i] = start(oldest, NULL, 0);
    for (int i = 0; i < 3; i++)
        tf_guest_finish(&warm[i]);
    CHECK(fill(state) == 200);
    CHECK(oldest->ready_count == 3 && state->ready_count == 1);
    CHECK(fill(filler) == 200); /* 26.25 of the 30 MiB that growth may use */
    CHECK(counters_of(runtime).memories_reclaimed >= 1 && oldest->ready_count < 3 && state->ready_count == 1);
    CHECK(counters_of(runtime).memory_bytes <= 32 * MIB);
    /* A soiled memory goes before a warm one. */
    uint32_t const ready = oldest->ready_count;
    CHECK(runtime->soiled != NULL);
    CHECK(fill(filler) == 200);
    CHECK(oldest->ready_count == ready);
    tf_function_destroy(&oldest);
    tf_function_destroy(&state);
    tf_function_destroy(&filler);
    CHECK(counters_of(runtime).memory_bytes == 0);
    tf_runtime_destroy(&runtime);
}

static void test_tenants_have_their_share(void)
{
    struct tf_runtime_config const settings = patient();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *filler = function_new(runtime, "fake_fill"), *hoard = function_new(runtime, "fake_hoard");
    struct tf_tenant small = {.memory_bytes_max = 10 * MIB}, large = {.memory_bytes_max = 64 * MIB};
    struct tf_guest *guest = start(filler, &small, 0);
    CHECK(small.memory_bytes == START_BYTES);
    CHECK(resume(guest) == TF_OUTCOME_RETURNED);
    CHECK(small.memory_bytes == START_BYTES); /* its growth was refused */
    tf_guest_finish(&guest);
    CHECK(small.memory_bytes == 0 && guest == NULL);
    struct tf_guest *hoarder = start(hoard, &large, 0);
    for (int i = 0; i < 200 && large.memory_bytes < 60 * MIB; i++)
        CHECK(tf_guest_resume(hoarder) == TF_OUTCOME_PREEMPTED);
    CHECK(large.memory_bytes <= 64 * MIB && large.memory_bytes >= 60 * MIB);
    guest = start(filler, &large, 0);
    CHECK(resume(guest) == TF_OUTCOME_RETURNED && tf_guest_response(guest)->status == 200);
    tf_guest_finish(&guest);
    tf_guest_finish(&hoarder);
    CHECK(large.memory_bytes == 0 && large.reset_ns > 0);
    guest = start(filler, &large, 0);
    CHECK(resume(guest) == TF_OUTCOME_RETURNED);
    CHECK(large.memory_bytes == FILL_BYTES);
    tf_guest_finish(&guest);
    tf_function_destroy(&filler);
    tf_function_destroy(&hoard);
    tf_runtime_destroy(&runtime);
}

/* What the host holds for guests counts like what they have. */
static void test_answers_count(void)
{
    enum { BODIES = 1536 << 10, NEARLY = 64 << 10 }; /* of fake_answer; of the arena's blocks beside them */
    struct tf_runtime_config const settings = patient();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *function = function_new(runtime, "fake_answer");
    struct tf_tenant large = {.memory_bytes_max = 64 * MIB}, small = {.memory_bytes_max = START_BYTES + MIB};
    struct tf_guest *guest = start(function, &large, 0);
    CHECK(resume(guest) == TF_OUTCOME_RETURNED && tf_guest_response(guest)->body.length == MIB);
    CHECK_MESSAGE(large.memory_bytes >= START_BYTES + BODIES && large.memory_bytes <= START_BYTES + BODIES + NEARLY,
                  "%llu", (unsigned long long)large.memory_bytes);
    CHECK(counters_of(runtime).memory_bytes == large.memory_bytes);
    tf_guest_finish(&guest);
    CHECK(large.memory_bytes == 0 && counters_of(runtime).memory_bytes == START_BYTES);
    guest = start(function, &small, 0);
    CHECK(resume(guest) == TF_OUTCOME_TRAPPED && tf_guest_trap_kind(guest) == TF_TRAP_OUTPUT_LIMIT);
    CHECK(small.memory_bytes <= small.memory_bytes_max);
    tf_guest_finish(&guest);
    CHECK(small.memory_bytes == 0 && counters_of(runtime).memory_bytes == START_BYTES);
    /* An answer that is still to be sent leaves less for guests. */
    tf_runtime_hold(runtime, &large, 62 * MIB);
    guest = start(function, &large, 0);
    CHECK(resume(guest) == TF_OUTCOME_TRAPPED && tf_guest_trap_kind(guest) == TF_TRAP_OUTPUT_LIMIT);
    tf_guest_finish(&guest);
    tf_runtime_let_go(runtime, &large, 62 * MIB);
    guest = start(function, &large, 0);
    CHECK(resume(guest) == TF_OUTCOME_RETURNED);
    tf_guest_finish(&guest);
    CHECK(large.memory_bytes == 0 && counters_of(runtime).memory_bytes == START_BYTES);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

static void test_what_never_fits_is_refused(void)
{
    struct tf_runtime_config settings = patient();
    settings.limits.worker_memory_bytes = MIB;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function_source const from = source("fake_return");
    struct tf_function *function = NULL;
    struct tf_error error = {0};
    CHECK(tf_function_create(runtime, &from, &function, &error) == TF_ERR_LIMIT);
    tf_runtime_destroy(&runtime);
    settings.limits.worker_memory_bytes = 4 * MIB;
    settings.limits.site_memory_bytes = MIB;
    runtime = runtime_new(&settings);
    CHECK(tf_function_create(runtime, &from, &function, &error) == TF_ERR_LIMIT);
    tf_runtime_destroy(&runtime);
}

TEST_MAIN(TEST(test_large_memories_are_put_back_later), TEST(test_destroy_while_soiled),
          TEST(test_soiled_slots_give_way), TEST(test_hoarders), TEST(test_idle_memory_gives_way),
          TEST(test_tenants_have_their_share), TEST(test_answers_count), TEST(test_what_never_fits_is_refused))
