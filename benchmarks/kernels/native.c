/* A kernel as a program: for every line of standard input, runs it and prints the CPU time, ns, and the checksum. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

uint64_t kernel(void);

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(void)
{
    char line[256];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t const start = cpu_ns();
        uint64_t const sum = kernel();
        printf("%" PRIu64 " %016" PRIx64 "\n", cpu_ns() - start, sum);
        fflush(stdout);
    }
    return 0;
}
