#include "h2o-handler/loop_clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define US_PER_S 1000000

static _Thread_local bool is_loop;
static _Thread_local const struct timeval *date_at;
/* From the even clock to what the system's said when the loop began: whoever else asks on the loop's thread hears
 * something near the truth. */
static _Thread_local int64_t offset_us;

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

void tf_loop_clock_enter(const struct timeval *context_date_at)
{
    if (!is_loop)
        offset_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC);
    is_loop = true;
    date_at = context_date_at;
}

void tf_loop_clock_leave(void)
{
    is_loop = false;
    date_at = NULL;
}

/* In place of libc's, for all of the program and its libraries: so it must be visible to these. */
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict ret_time, void *restrict ret_zone)
{
    bool const is_even = is_loop && ret_time != date_at;
    int64_t const us = is_even ? read_us(CLOCK_MONOTONIC) + offset_us : read_us(CLOCK_REALTIME);
    ret_time->tv_sec = us / US_PER_S;
    ret_time->tv_usec = us % US_PER_S;
    if (ret_zone != NULL)
        *(struct timezone *)ret_zone = (struct timezone){0};
    return 0;
}
