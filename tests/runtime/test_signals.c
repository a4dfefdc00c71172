/*
 * Signals at any moment: a second thread sends the tick's signal to the runtime's at random while guests start, trap,
 * run out of stack, spin right above the stack's guard, are preempted and are reset. Every outcome is what it is
 * without.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/internal.h"
#include "tests/check.h"

static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};

/* ---- guests ---- */

struct object {
    const char *path, *name;
    void *handle;
    const uint8_t *text_begin, *text_end;
};

static struct object own_guests = {TF_SIGNALS_GUEST, "signals_guest", NULL, NULL, NULL};
static struct object fake_guests = {TF_FAKE_GUEST, "fake_guest", NULL, NULL, NULL};

static int find_text(struct dl_phdr_info *info, size_t size, void *context)
{
    struct object *const object = context;
    (void)size;
    if (strstr(info->dlpi_name, object->name) == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        ElfW(Phdr) const *const header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
            object->text_begin = (const uint8_t *)(info->dlpi_addr + header->p_vaddr);
            object->text_end = object->text_begin + header->p_memsz;
        }
    }
    return 1;
}

static struct tf_function *function_new(struct tf_runtime *runtime, struct object *object, const char *symbol)
{
    if (object->handle == NULL) {
        object->handle = dlopen(object->path, RTLD_NOW | RTLD_LOCAL);
        dl_iterate_phdr(find_text, object);
    }
    CHECK_MESSAGE(object->handle != NULL && object->text_begin != NULL, "%s", object->path);
    struct tf_function_source const source = {
        .abi = dlsym(object->handle, symbol),
        .text_begin = object->text_begin,
        .text_end = object->text_end,
    };
    struct tf_function *function = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(source.abi != NULL && tf_function_create(runtime, &source, &function, &error) == 0, "%s: %s", symbol,
                  error.text);
    return function;
}

static struct tf_runtime *runtime_new(void)
{
    struct tf_runtime_config settings = {.limits = TF_LIMITS_DEFAULT, .slice_us = 500};
    settings.limits.slots = 8;
    settings.limits.cpu_ms = 60000;
    settings.limits.wall_ms = 120000;
    struct tf_runtime *runtime = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_runtime_create(&settings, &runtime, &error) == 0, "%s", error.text);
    return runtime;
}

/* ---- the storm ---- */

static struct storm {
    pthread_t target, thread;
    _Atomic bool stop;
    _Atomic unsigned long sent;
} storm;

static void *send_signals(void *argument)
{
    unsigned seed = 1;
    (void)argument;
    while (!atomic_load(&storm.stop)) {
        pthread_kill(storm.target, SIGURG);
        atomic_fetch_add(&storm.sent, 1);
        /* Bursts, and pauses of up to a fifth of a millisecond. */
        if (rand_r(&seed) % 4 != 0) {
            struct timespec const pause = {.tv_nsec = rand_r(&seed) % 200000};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static void storm_begin(void)
{
    storm.target = pthread_self();
    atomic_store(&storm.stop, false);
    CHECK(pthread_create(&storm.thread, NULL, send_signals, NULL) == 0);
}

static void storm_end(void)
{
    atomic_store(&storm.stop, true);
    pthread_join(storm.thread, NULL);
}

/* ---- tests ---- */

static const struct expectation {
    struct object *object;
    const char *symbol;
    enum tf_trap trap; /* NONE: returns 200 */
    unsigned times;
} expectations[] = {
    {&own_guests, "signals_trap_at_once", TF_TRAP_INTEGER_OVERFLOW, 4000},
    {&own_guests, "signals_divide_at_once", TF_TRAP_DIVIDE_BY_ZERO, 4000},
    {&own_guests, "signals_fault_at_once", TF_TRAP_OUT_OF_BOUNDS, 4000},
    {&own_guests, "signals_write_then_trap", TF_TRAP_UNREACHABLE, 1000},
    {&fake_guests, "fake_return", TF_TRAP_NONE, 4000},
    {&fake_guests, "fake_state", TF_TRAP_NONE, 200},
    {&fake_guests, "fake_state_strict", TF_TRAP_NONE, 50},
    {&fake_guests, "fake_state_then_trap", TF_TRAP_UNREACHABLE, 200},
    {&fake_guests, "fake_fill", TF_TRAP_NONE, 20},
    {&fake_guests, "fake_recurse", TF_TRAP_STACK_EXHAUSTED, 1000},
    {&fake_guests, "fake_recurse_with_host_calls", TF_TRAP_STACK_EXHAUSTED, 500},
    {&fake_guests, "fake_divide", TF_TRAP_DIVIDE_BY_ZERO, 1000},
    {&fake_guests, "fake_far_out_of_bounds", TF_TRAP_OUT_OF_BOUNDS, 1000},
};
#define EXPECTATIONS (sizeof(expectations) / sizeof(expectations[0]))

/* Returns how often its turn ended before it did. */
static unsigned run(struct tf_function *function, enum tf_trap trap, const char *name)
{
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    unsigned preemptions = 0;
    CHECK_MESSAGE(tf_guest_start(function, &request, NULL, &guest, &error) == 0, "%s: %s", name, error.text);
    if (guest == NULL)
        return 0;
    enum tf_outcome outcome;
    while ((outcome = tf_guest_resume(guest)) == TF_OUTCOME_PREEMPTED)
        preemptions++;
    CHECK_MESSAGE(outcome == (trap == TF_TRAP_NONE ? TF_OUTCOME_RETURNED : TF_OUTCOME_TRAPPED), "%s: outcome %d", name,
                  outcome);
    CHECK_MESSAGE(tf_guest_trap_kind(guest) == trap, "%s: %s", name, tf_trap_name(tf_guest_trap_kind(guest)));
    if (outcome == TF_OUTCOME_RETURNED)
        CHECK_MESSAGE(tf_guest_response(guest)->status == 200, "%s: %u", name, tf_guest_response(guest)->status);
    tf_guest_finish(&guest);
    return preemptions;
}

/* The kinds mixed, so that slots go from one end to another start. */
static void test_signals_at_any_moment(void)
{
    struct tf_runtime *runtime = runtime_new();
    struct tf_function *functions[EXPECTATIONS];
    unsigned left = 0, done[EXPECTATIONS] = {0};
    for (size_t i = 0; i < EXPECTATIONS; i++) {
        functions[i] = function_new(runtime, expectations[i].object, expectations[i].symbol);
        left += expectations[i].times;
    }
    unsigned const runs = left;
    unsigned preemptions = 0;
    storm_begin();
    while (left > 0 && tf_check_failures == 0) {
        size_t const i = (size_t)rand() % EXPECTATIONS;
        if (done[i] == expectations[i].times)
            continue;
        done[i]++;
        left--;
        preemptions += run(functions[i], expectations[i].trap, expectations[i].symbol);
    }
    storm_end();
    printf("%lu signals during %u guests of %zu kinds, %u turns ended by them\n", atomic_load(&storm.sent), runs,
           EXPECTATIONS, preemptions);
    CHECK(atomic_load(&storm.sent) > 0);
    for (size_t i = 0; i < EXPECTATIONS; i++)
        tf_function_destroy(&functions[i]);
    tf_runtime_destroy(&runtime);
}

/* A preempted guest's registers go to the slot's save area: its own stack may be full to the last byte. */
static void preempt_above_guard(bool with_storm)
{
    static const char *const symbols[] = {"signals_above_guard_0", "signals_above_guard_8", "signals_above_guard_100",
                                          "signals_above_guard_128", "signals_above_guard_4096"};
    struct tf_runtime *runtime = runtime_new();
    if (with_storm)
        storm_begin();
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        struct tf_function *function = function_new(runtime, &own_guests, symbols[i]);
        unsigned preemptions = 0;
        for (int again = 0; again < 100 && preemptions < 20; again++)
            preemptions += run(function, TF_TRAP_NONE, symbols[i]);
        CHECK_MESSAGE(preemptions >= 20, "%s: %u preemptions", symbols[i], preemptions);
        tf_function_destroy(&function);
    }
    if (with_storm)
        storm_end();
    tf_runtime_destroy(&runtime);
}

static void test_preemption_right_above_the_guard(void)
{
    preempt_above_guard(false);
    preempt_above_guard(true);
}

/* A reset writes only pages that the guest wrote, which are open, so it never faults; where it did, that would be our
 * bug. Then no guest is running, and the fault is nobody's trap: the process crashes and says so. */
static void test_a_fault_between_guests_is_a_crash(void)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    fflush(NULL);
    pid_t const child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        struct tf_runtime *runtime = runtime_new();
        struct tf_function *function = function_new(runtime, &fake_guests, "fake_state");
        run(function, TF_TRAP_NONE, "fake_state");
        volatile uint8_t *const watched = function->ready->memory + 4096;
        if (tf_protect_watch(function->ready, 4096, 4096) == 0)
            *watched = 1; /* as a reset would that took a page for open */
        _exit(0);
    }
    close(pipes[1]);
    char said[512] = "";
    ssize_t const length = read(pipes[0], said, sizeof(said) - 1);
    close(pipes[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_MESSAGE(WIFSIGNALED(status) && (WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV), "status %x",
                  status);
    CHECK_MESSAGE(length > 0 && strstr(said, "terrafirma: crash: signal") != NULL, "%s", said);
}

TEST_MAIN(TEST(test_signals_at_any_moment), TEST(test_preemption_right_above_the_guard),
          TEST(test_a_fault_between_guests_is_a_crash))
