/*
 * What passes between the event loop and its threads: jobs that load and release modules, in bursts, come back once
 * each, in order, with all that the thread wrote. Says little by itself; under ThreadSanitizer it says that nothing is
 * shared without order.
 */
#include "h2o-handler/io_thread.h"

#include "tests/loader/artifact.h"

#define JOBS 3000u
#define BURST_MAX 40u
#define KEYS 3u

struct job {
    struct tf_io_job io;
    struct tf_module *module;
    unsigned number, key;
    uint32_t answer; /* written by the thread */
    int result;
    bool is_release;
};

static char keys[KEYS][TF_HASH_HEX_BYTES];
static struct tf_io_thread *thread;
static unsigned submitted, loaded, released;
static unsigned next_number; /* of what comes back */
static bool is_ending; /* what is submitted while the thread ends overtakes what waits */

static void run(struct tf_io_job *io)
{
    struct job *const job = (struct job *)io;
    if (job->is_release) {
        tf_module_release(&job->module);
        return;
    }
    job->result = tf_module_load(cache, keys[job->key], &job->module, NULL);
    if (job->result == 0)
        job->answer = run_once(job->module, 0);
}

static void done(struct tf_io_job *io);

static void submit(struct tf_module *module, unsigned key)
{
    struct job *const job = calloc(1, sizeof(*job));
    CHECK(job != NULL);
    job->io.run = run;
    job->io.done = done;
    job->module = module;
    job->is_release = module != NULL;
    job->key = key;
    job->number = submitted++;
    tf_io_thread_submit(thread, &job->io);
}

static void done(struct tf_io_job *io)
{
    struct job *const job = (struct job *)io;
    if (!is_ending && tf_check_failures == 0)
        CHECK_MESSAGE(job->number == next_number, "%u came back instead of %u", job->number, next_number);
    next_number++;
    if (job->is_release) {
        CHECK(job->module == NULL);
        released++;
    } else {
        CHECK(job->result == 0 && job->answer == job->key + 1);
        /* The loop uses what the thread made, then hands it back. */
        CHECK(job->module != NULL && run_once(job->module, 1) == job->key + 2);
        loaded++;
        submit(job->module, job->key);
    }
    free(job);
}

static void jobs_come_back(void)
{
    enter();
    for (unsigned i = 0; i < KEYS; i++) {
        char name[16], flags[32];
        snprintf(name, sizeof(name), "artifact %u", i);
        snprintf(flags, sizeof(flags), "-DNUMBER=%u", i);
        put_compiled(name, flags, plain_manifest(), keys[i]);
    }
    static h2o_evloop_t *loop; /* static: libh2o 2.2.5 has no way to end a loop, and leaks are looked for */
    loop = h2o_evloop_create();
    h2o_multithread_queue_t *const queue = h2o_multithread_create_queue(loop);
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_io_thread_create(queue, "test", &thread, &error) == 0, "%s", error.text);
    for (unsigned asked = 0; asked < JOBS;) {
        unsigned const burst = 1 + (unsigned)rand() % BURST_MAX;
        for (unsigned i = 0; i < burst && asked < JOBS; i++, asked++)
            submit(NULL, (unsigned)rand() % KEYS);
        h2o_evloop_run(loop, (int32_t)(rand() % 2));
    }
    while (loaded < JOBS - BURST_MAX)
        h2o_evloop_run(loop, 10);
    /* The rest, and the releases that it asks for, while the thread ends. */
    is_ending = true;
    CHECK(tf_io_thread_destroy(&thread, 60000) && thread == NULL);
    CHECK_MESSAGE(loaded == JOBS && released == JOBS, "%u loaded, %u released", loaded, released);
    CHECK(count_mappings(folder) == 0);
    h2o_multithread_destroy_queue(queue);
    leave();
}

TEST_MAIN(TEST(jobs_come_back))
