/*
 * Which time libh2o's loop goes by.
 *
 * libh2o reads all of its time with gettimeofday: that of the Date header, where it has to, and that of its timers,
 * where a clock that is set would end every timeout at once or hold it up for as long. So this program has a
 * gettimeofday of its own, which libh2o finds before libc's. To a thread with a loop it tells a time that goes on
 * evenly, whatever is done to the system's clock; only where libh2o asks for the Date header is it the system's time.
 * All other threads and processes of this program get the system's.
 */
#ifndef TF_H2O_HANDLER_LOOP_CLOCK_H
#define TF_H2O_HANDLER_LOOP_CLOCK_H

struct timeval;

/* The calling thread has a loop from here on. `date_at` is where its libh2o context keeps the time of the Date header.
 * One per thread. */
void tf_loop_clock_enter(const struct timeval *date_at);
/* The context goes; the loop may still end. */
void tf_loop_clock_leave(void);

#endif
