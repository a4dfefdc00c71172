/*
 * What a fresh sandbox costs: enter, run a function that writes some pages, leave, put everything back.
 *
 * Beside each figure stands the usual way in the same run, interleaved: a private (copy-on-write) mapping of the image,
 * the same pages written from C, and madvise(MADV_DONTNEED). That reference enters no guest at all, which favours it.
 *
 *     instantiate [--rounds N] [--json FILE] GUESTS_FOLDER
 *
 * The file gets rows as benchmarks/results.py has them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <signal.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/artifact.h"
#include "runtime/runtime.h"

#define REQUESTS 4000u  /* in one sample */
#define SLOTS 10000u

static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "instantiate: %s: %s\n", what, why);
    exit(1);
}

static void request_once(struct tf_function *function)
{
    struct tf_guest *guest = NULL;
    struct tf_error error;
    if (tf_guest_start(function, &request, NULL, &guest, &error) != 0)
        fail("start", error.text);
    enum tf_outcome outcome;
    while ((outcome = tf_guest_resume(guest)) == TF_OUTCOME_PREEMPTED)
        ;
    if (outcome != TF_OUTCOME_RETURNED)
        fail("run", tf_trap_name(tf_guest_trap_kind(guest)));
    tf_guest_finish(&guest);
}

static double sample_ours(struct tf_function *function)
{
    uint64_t const start = tf_clock_ns();
    for (unsigned i = 0; i < REQUESTS; i++)
        request_once(function);
    return (double)(tf_clock_ns() - start) / REQUESTS / 1000;
}

static double sample_usual(uint8_t *memory, size_t bytes, unsigned pages)
{
    unsigned const requests = REQUESTS / 8; /* it takes longer */
    uint64_t const start = tf_clock_ns();
    for (unsigned i = 0; i < requests; i++) {
        for (unsigned page = 0; page < pages; page++)
            *(volatile uint8_t *)(memory + page * 4096u) = 1;
        if (madvise(memory, bytes, MADV_DONTNEED) != 0)
            fail("madvise", strerror(errno));
    }
    return (double)(tf_clock_ns() - start) / requests / 1000;
}

static int compare(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of a round's samples. */
struct figure {
    double median, least, most;
    unsigned count;
};

static struct figure figure_of(double *values, unsigned count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return (struct figure){values[count / 2], values[0], values[count - 1], count};
}

static struct tf_runtime *runtime;
static FILE *json; /* NULL: not wanted */

static void keep(const char *guest, const char *what, struct figure figure)
{
    static bool is_first = true;
    if (json != NULL)
        fprintf(json,
                "%s\n {\"what\": \"%s, %s\", \"unit\": \"us/request\", \"median\": %.4f, \"min\": %.4f, "
                "\"max\": %.4f, \"n\": %u}",
                is_first ? "" : ",", guest, what, figure.median, figure.least, figure.most, figure.count);
    is_first = false;
}

struct row {
    const char *guest;
    size_t memory_bytes;
    unsigned pages;
    struct figure ours, usual, busy; /* µs; busy: while a second process does the same */
};

static struct tf_function *load(const char *folder, const char *guest)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.wasm", folder, guest);
    struct tf_error error;
    struct tf_function *function = NULL;
    if (tf_artifact_function(runtime, path, &function, &error) != 0)
        fail(path, error.text);
    return function;
}

static uint8_t *usual_mapping(size_t bytes)
{
    int const fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        fail("memfd", strerror(errno));
    uint8_t *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        fail("mmap", strerror(errno));
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

static void measure(struct row *row, struct tf_function *function, unsigned rounds)
{
    double ours[64], usual[64];
    uint8_t *const memory = usual_mapping(row->memory_bytes);
    for (unsigned i = 0; i < 100; i++)
        request_once(function);
    for (unsigned i = 0; i < rounds; i++) {
        ours[i] = sample_ours(function);
        usual[i] = sample_usual(memory, row->memory_bytes, row->pages);
    }
    munmap(memory, row->memory_bytes);
    row->ours = figure_of(ours, rounds);
    row->usual = figure_of(usual, rounds);
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set); /* where it is refused, the figures are noisier */
}

/* The same samples while another process, on another core, serves the same function without pause. */
static void measure_busy(struct row *row, const char *folder, struct tf_function *function, unsigned rounds,
                         const struct tf_runtime_config *config)
{
    int ready[2];
    if (pipe(ready) != 0)
        fail("pipe", strerror(errno));
    pid_t const other = fork();
    if (other == 0) {
        pin(1);
        struct tf_error error;
        /* A runtime belongs to a thread; the inherited one stays untouched, and a second needs a thread of its own. */
        runtime = NULL;
        tf_artifact_after_fork();
        if (tf_runtime_create(config, &runtime, &error) != 0)
            fail("second worker", error.text);
        struct tf_function *const mine = load(folder, row->guest);
        request_once(mine);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            request_once(mine);
    }
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        fail("second worker", "did not start");
    close(ready[0]);
    double busy[64];
    for (unsigned i = 0; i < rounds; i++)
        busy[i] = sample_ours(function);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    row->busy = figure_of(busy, rounds);
}

/* One turn of each of 10,000 slots after the other, against only touching as many cold lines. */
static void round_robin(const char *folder, unsigned rounds)
{
    struct tf_function *function = load(folder, "dirty-4");
    struct tf_guest **const guests = calloc(SLOTS, sizeof(guests[0]));
    double ours[64], floor_us[64];
    struct tf_error error;
    /* 4 pages of 64 lines copied back, some 12 lines of slot, stack and instance. */
    size_t const bytes = (size_t)SLOTS * 5 * 4096;
    uint8_t *const cold = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guests == NULL || cold == MAP_FAILED)
        fail("memory", strerror(errno));
    memset(cold, 1, bytes);
    static uint8_t image[4 * 4096];
    for (unsigned round = 0; round < rounds + 1; round++) {
        for (unsigned i = 0; i < SLOTS; i++)
            if (tf_guest_start(function, &request, NULL, &guests[i], &error) != 0)
                fail("10,000 slots", error.text);
        uint64_t const start = tf_clock_ns();
        for (unsigned i = 0; i < SLOTS; i++) {
            while (tf_guest_resume(guests[i]) == TF_OUTCOME_PREEMPTED)
                ;
            tf_guest_finish(&guests[i]);
        }
        uint64_t const between = tf_clock_ns();
        for (unsigned i = 0; i < SLOTS; i++) {
            uint8_t *const slot = cold + (size_t)i * 5 * 4096;
            for (unsigned line = 0; line < 12; line++)
                *(volatile uint8_t *)(slot + 4 * 4096 + line * 256) += 1;
            memcpy(slot, image, sizeof(image));
        }
        if (round > 0) {
            ours[round - 1] = (double)(between - start) / SLOTS / 1000;
            floor_us[round - 1] = (double)(tf_clock_ns() - between) / SLOTS / 1000;
        }
    }
    struct figure const mine = figure_of(ours, rounds), least = figure_of(floor_us, rounds);
    printf("\nround-robin over %u slots, 4 pages: %.2f µs a request; touching as many cold lines: %.2f µs\n", SLOTS,
           mine.median, least.median);
    keep("round-robin over 10,000 slots", "ours", mine);
    keep("round-robin over 10,000 slots", "touching as many cold lines", least);
    munmap(cold, bytes);
    free(guests);
    tf_function_destroy(&function);
}

int main(int argc, char **argv)
{
    unsigned rounds = 15;
    while (argc >= 4 && argv[1][0] == '-') {
        if (strcmp(argv[1], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[2], NULL, 10);
        else if (strcmp(argv[1], "--json") != 0 || (json = fopen(argv[2], "we")) == NULL)
            break;
        argv += 2;
        argc -= 2;
    }
    if (argc != 2 || rounds < 1 || rounds > 64) {
        fprintf(stderr, "usage: instantiate [--rounds 1..64] [--json FILE] GUESTS_FOLDER\n");
        return 2;
    }
    if (json != NULL)
        fprintf(json, "{\"name\": \"instantiate\", \"rows\": [");
    struct tf_runtime_config config = {.limits = TF_LIMITS_DEFAULT};
    config.limits.memory_pages = 8192;
    config.limits.slots = SLOTS;
    config.limits.worker_memory_bytes = config.limits.site_memory_bytes = 1ull << 40;
    config.limits.function_concurrency = SLOTS;
    struct tf_error error;
    pin(0);
    if (tf_artifact_open(&error) != 0 || tf_runtime_create(&config, &runtime, &error) != 0)
        fail("start", error.text);
    struct row rows[] = {
        {.guest = "dirty-0", .memory_bytes = 20 << 16, .pages = 0},
        {.guest = "dirty-1", .memory_bytes = 20 << 16, .pages = 1},
        {.guest = "dirty-4", .memory_bytes = 20 << 16, .pages = 4},
        {.guest = "dirty-16", .memory_bytes = 20 << 16, .pages = 16},
        {.guest = "dirty-64", .memory_bytes = 20 << 16, .pages = 64},
        {.guest = "dirty-256", .memory_bytes = 20 << 16, .pages = 256},
        {.guest = "large-16", .memory_bytes = 256 << 20, .pages = 16},
        {.guest = "grow", .memory_bytes = 22 << 16, .pages = 2},
    };
    printf("writes found by %s; medians of %u samples, µs a request\n\n", tf_runtime_write_tracking(runtime), rounds);
    printf("| guest | memory KiB | pages written | ours | copy-on-write + MADV_DONTNEED | ratio "
           "| ours, second worker busy |\n");
    printf("|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_function *function = load(argv[1], rows[i].guest);
        measure(&rows[i], function, rounds);
        measure_busy(&rows[i], argv[1], function, rounds, &config);
        tf_function_destroy(&function);
        printf("| %s | %zu | %u | %.3f | %.2f | %.1f | %.3f |\n", rows[i].guest, rows[i].memory_bytes >> 10,
               rows[i].pages, rows[i].ours.median, rows[i].usual.median, rows[i].usual.median / rows[i].ours.median,
               rows[i].busy.median);
        fflush(stdout);
        keep(rows[i].guest, "ours", rows[i].ours);
        keep(rows[i].guest, "copy-on-write + MADV_DONTNEED", rows[i].usual);
        keep(rows[i].guest, "ours, second worker busy", rows[i].busy);
    }
    round_robin(argv[1], rounds < 5 ? rounds : 5);
    tf_runtime_destroy(&runtime);
    tf_artifact_close();
    if (json != NULL && (fprintf(json, "\n], \"checks\": []}\n") < 0 || fclose(json) != 0))
        fail("json", strerror(errno));
    return 0;
}
