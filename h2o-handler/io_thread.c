#include "h2o-handler/io_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

struct tf_io_thread {
    h2o_multithread_receiver_t receiver; /* the loop's end */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct tf_io_job *first, **last; /* under the mutex */
    bool stop;
    bool is_ready; /* under the mutex: it has its niceness, which it could not take once it is confined */
    int niceness;
    bool joined; /* the loop's own */
};

static struct tf_io_job *next_job(struct tf_io_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    while (thread->first == NULL && !thread->stop)
        pthread_cond_wait(&thread->wake, &thread->mutex);
    struct tf_io_job *const job = thread->first;
    if (job != NULL) {
        thread->first = job->next;
        if (thread->first == NULL)
            thread->last = &thread->first;
    }
    pthread_mutex_unlock(&thread->mutex);
    return job;
}

static void *thread_main(void *argument)
{
    struct tf_io_thread *const thread = argument;
    struct tf_io_job *job;
    if (thread->niceness != 0)
        setpriority(PRIO_PROCESS, 0, thread->niceness); /* Linux: of this thread alone */
    pthread_mutex_lock(&thread->mutex);
    thread->is_ready = true;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);
    while ((job = next_job(thread)) != NULL) {
        job->run(job);
        h2o_multithread_send_message(&thread->receiver, &job->message);
    }
    return NULL;
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        struct tf_io_job *const job = H2O_STRUCT_FROM_MEMBER(struct tf_io_job, message.link, messages->next);
        h2o_linklist_unlink(&job->message.link);
        job->done(job);
    }
}

/* The thread takes no signal: those of the runtime are meant for the thread that runs guests. */
static int start_thread(struct tf_io_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    int const fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof(fault_signals) / sizeof(fault_signals[0]); i++)
        sigdelset(&all, fault_signals[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int const failure = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

int tf_io_thread_create(h2o_multithread_queue_t *queue, const char *name, struct tf_io_thread **ret_thread,
                        struct tf_error *error)
{
    return tf_io_thread_create_nice(queue, name, 0, ret_thread, error);
}

int tf_io_thread_create_nice(h2o_multithread_queue_t *queue, const char *name, int niceness,
                             struct tf_io_thread **ret_thread, struct tf_error *error)
{
    struct tf_io_thread *const thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the thread %s", name);
    thread->last = &thread->first;
    thread->niceness = niceness;
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_cond_init(&thread->wake, NULL);
    h2o_multithread_register_receiver(queue, &thread->receiver, on_messages);
    int const failure = start_thread(thread);
    if (failure != 0) {
        h2o_multithread_unregister_receiver(queue, &thread->receiver);
        pthread_cond_destroy(&thread->wake);
        pthread_mutex_destroy(&thread->mutex);
        free(thread);
        errno = failure;
        return tf_error_system(error, "cannot start the thread %s", name);
    }
    pthread_mutex_lock(&thread->mutex);
    while (!thread->is_ready)
        pthread_cond_wait(&thread->wake, &thread->mutex);
    pthread_mutex_unlock(&thread->mutex);
    pthread_setname_np(thread->thread, name);
    *ret_thread = thread;
    return 0;
}

void tf_io_thread_submit(struct tf_io_thread *thread, struct tf_io_job *job)
{
    if (thread->joined) { /* a clean-up that another job's end asked for */
        job->run(job);
        job->done(job);
        return;
    }
    job->message = (h2o_multithread_message_t){{NULL, NULL}};
    job->next = NULL;
    pthread_mutex_lock(&thread->mutex);
    *thread->last = job;
    thread->last = &job->next;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);
}

bool tf_io_thread_has_ended(const struct tf_io_thread *thread)
{
    return thread->joined;
}

bool tf_io_thread_destroy(struct tf_io_thread **thread_pointer, unsigned wait_ms)
{
    struct tf_io_thread *const thread = *thread_pointer;
    if (thread == NULL)
        return true;
    pthread_mutex_lock(&thread->mutex);
    thread->stop = true;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);

    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t const until_ns = (uint64_t)until.tv_nsec + wait_ms * TF_NS_PER_MS;
    until.tv_sec += (time_t)(until_ns / TF_NS_PER_S);
    until.tv_nsec = (long)(until_ns % TF_NS_PER_S);
    if (pthread_timedjoin_np(thread->thread, NULL, &until) != 0) {
        *thread_pointer = NULL;
        return false;
    }
    thread->joined = true;
    /* Nobody sends any more: what is left can be taken without the queue's lock. */
    h2o_linklist_t messages;
    h2o_linklist_init_anchor(&messages);
    h2o_linklist_insert_list(&messages, &thread->receiver._messages);
    on_messages(&thread->receiver, &messages);
    h2o_multithread_unregister_receiver(thread->receiver.queue, &thread->receiver);
    pthread_cond_destroy(&thread->wake);
    pthread_mutex_destroy(&thread->mutex);
    free(thread);
    *thread_pointer = NULL;
    return true;
}
