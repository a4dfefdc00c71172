/*
 * A thread that does what an event loop must not: opening, reading, mapping, unmapping. Jobs run one after another, in
 * the order they were submitted; each comes back to the loop that owns the thread.
 */
#ifndef TF_H2O_HANDLER_IO_THREAD_H
#define TF_H2O_HANDLER_IO_THREAD_H

#include <stdbool.h>

#include <h2o.h>

#include <terrafirma/error.h>

struct tf_io_thread;

/* The first member of a job's own struct, which its owner allocates and, in or after `done`, frees. */
struct tf_io_job {
    h2o_multithread_message_t message;
    struct tf_io_job *next;
    void (*run)(struct tf_io_job *job);  /* on the thread */
    void (*done)(struct tf_io_job *job); /* on the event loop */
};

/* Errors: SYSTEM. `name` shows in ps(1), at most 15 bytes. */
int tf_io_thread_create(h2o_multithread_queue_t *queue, const char *name, struct tf_io_thread **ret_thread,
                        struct tf_error *error);
/* As above, with a niceness (nice(2)): for work that must not take the core from the loop. */
int tf_io_thread_create_nice(h2o_multithread_queue_t *queue, const char *name, int niceness,
                             struct tf_io_thread **ret_thread, struct tf_error *error);
/* From the event loop. The job is the thread's until `done`. */
void tf_io_thread_submit(struct tf_io_thread *thread, struct tf_io_job *job);
/* From the event loop. True in `done` while tf_io_thread_destroy takes what is left: what the thread had open is then
 * no longer to be closed. A worker's loop has a table of descriptors of its own, where the number means another. */
bool tf_io_thread_has_ended(const struct tf_io_thread *thread);
/* Runs what was submitted, waiting at most `wait_ms` for it, calls `done` for each, and frees the thread. False when it
 * hangs in a system call (a dead network mount): then it is left behind for the end of the process, and the queue with
 * it. Nulls the pointer; tolerates NULL. */
bool tf_io_thread_destroy(struct tf_io_thread **thread, unsigned wait_ms);

#endif
