/*
 * Kernels as functions of Terrafirma: built by the compiler, loaded, and run in a slot of a runtime, one request for
 * every line of standard input, which is the kernel's number. Prints the CPU time of the request, ns, and what it
 * answered; resetting the slot is not in it.
 *
 *     compute-host CC CPU_LEVEL strict|fast FLAGS KERNEL.wasm…
 *
 * The first line it prints says how long building all of them took, ns. FLAGS may be empty.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/runtime.h"
#include "tests/support/artifact.h"

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "compute-host: %s: %s\n", what, why);
    exit(1);
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void request_once(struct tf_function *function)
{
    static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};
    struct tf_guest *guest = NULL;
    struct tf_error error;
    enum tf_outcome outcome;
    if (tf_guest_start(function, &request, NULL, &guest, &error) != 0)
        fail("start", error.text);
    uint64_t const start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    while ((outcome = tf_guest_resume(guest)) == TF_OUTCOME_PREEMPTED)
        ;
    uint64_t const took = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
    if (outcome != TF_OUTCOME_RETURNED)
        fail("run", tf_trap_name(tf_guest_trap_kind(guest)));
    const struct tf_response *const response = tf_guest_response(guest);
    printf("%" PRIu64 " %.*s\n", took, (int)response->body.length, response->body.bytes);
    fflush(stdout);
    tf_guest_finish(&guest);
}

#define KERNELS_MAX 100

int main(int argc, char **argv)
{
    char line[256];
    struct tf_error error;
    struct tf_runtime *runtime = NULL;
    struct tf_function *functions[KERNELS_MAX] = {NULL};
    int const count = argc - 5;
    if (count < 1 || count > KERNELS_MAX) {
        fprintf(stderr, "usage: compute-host CC CPU_LEVEL strict|fast FLAGS KERNEL.wasm…\n");
        return 2;
    }
    struct tf_compiler_config const compiler = {.cc = argv[1],
                                                .cpu_level = (uint32_t)strtoul(argv[2], NULL, 10),
                                                .profile = strcmp(argv[3], "strict") == 0 ? TF_PROFILE_STRICT
                                                                                          : TF_PROFILE_FAST,
                                                .tiers = TF_TIERS_OPTIMISED,
                                                .limits = TF_LIMITS_DEFAULT,
                                                .more_flags = argv[4]};
    struct tf_runtime_config config = {.limits = TF_LIMITS_DEFAULT};
    config.limits.slots = KERNELS_MAX;
    config.limits.cpu_ms = config.limits.wall_ms = 600000;
    if (tf_artifact_open_with(&compiler, &error) != 0 || tf_runtime_create(&config, &runtime, &error) != 0)
        fail("start", error.text);
    uint64_t const start = cpu_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++)
        if (tf_artifact_function(runtime, argv[5 + i], &functions[i], &error) != 0)
            fail(argv[5 + i], error.text);
    printf("%" PRIu64 "\n", cpu_ns(CLOCK_MONOTONIC) - start);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        long const number = strtol(line, NULL, 10);
        if (number < 0 || number >= count)
            fail(line, "no such kernel");
        request_once(functions[number]);
    }
    for (int i = 0; i < count; i++)
        tf_function_destroy(&functions[i]);
    tf_runtime_destroy(&runtime);
    tf_artifact_close();
    return 0;
}
