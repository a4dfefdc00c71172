#include "h2o-handler/functions.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

#define BUCKETS_FIRST 256u
#define RETRY_BUSY_NS (100 * TF_NS_PER_MS)
#define RETRY_LOAD_NS TF_NS_PER_S
/* A start function that fails does so again, and costs the event loop each time. */
#define RETRY_GUEST_NS (10 * TF_NS_PER_S)
#define RETRY_NS_MAX (60 * TF_NS_PER_S)

struct load_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    struct tf_entry *entry; /* LOADING entries stay */
    struct tf_cache *cache;
    struct tf_module *module;
    struct tf_error error;
    char key[TF_HASH_HEX_BYTES];
};

struct release_job {
    struct tf_io_job io;
    struct tf_module *module;
};

/* ---- the table ---- */

/* Keys are hexadecimal digits of a SHA-256: any of them are as good as a hash. */
static size_t bucket_of(const struct tf_functions *functions, const char *key)
{
    uint64_t digits;
    memcpy(&digits, key, sizeof(digits));
    return (size_t)((digits * 0x9e3779b97f4a7c15ull) >> 32) & (functions->bucket_count - 1);
}

static struct tf_entry *find(const struct tf_functions *functions, const char *key)
{
    struct tf_entry *entry = functions->buckets[bucket_of(functions, key)];
    while (entry != NULL && memcmp(entry->key, key, TF_HASH_HEX_BYTES - 1) != 0)
        entry = entry->next_in_bucket;
    return entry;
}

static void grow(struct tf_functions *functions)
{
    struct tf_functions bigger = *functions;
    bigger.bucket_count = functions->bucket_count * 2;
    bigger.buckets = calloc(bigger.bucket_count, sizeof(bigger.buckets[0]));
    if (bigger.buckets == NULL)
        return; /* longer chains are still right */
    for (size_t i = 0; i < functions->bucket_count; i++) {
        struct tf_entry *entry = functions->buckets[i];
        while (entry != NULL) {
            struct tf_entry *const next = entry->next_in_bucket;
            struct tf_entry **const bucket = &bigger.buckets[bucket_of(&bigger, entry->key)];
            entry->next_in_bucket = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    free(functions->buckets);
    functions->buckets = bigger.buckets;
    functions->bucket_count = bigger.bucket_count;
}

static struct tf_entry *insert(struct tf_functions *functions, const char *key)
{
    struct tf_entry *const entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    memcpy(entry->key, key, TF_HASH_HEX_BYTES - 1);
    h2o_linklist_init_anchor(&entry->loading);
    h2o_linklist_init_anchor(&entry->crowded);
    entry->is_routed = true;
    if (functions->count >= functions->bucket_count)
        grow(functions);
    struct tf_entry **const bucket = &functions->buckets[bucket_of(functions, key)];
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    functions->count++;
    return entry;
}

static void run_release(struct tf_io_job *io)
{
    tf_module_release(&((struct release_job *)io)->module);
}

static void release_done(struct tf_io_job *io)
{
    free(io);
}

static void release_module(struct tf_worker *worker, struct tf_module **module)
{
    if (*module == NULL)
        return;
    struct release_job *const job = calloc(1, sizeof(*job));
    if (job == NULL)
        return; /* stays mapped: better than a loop that waits for the kernel */
    job->io.run = run_release;
    job->io.done = release_done;
    job->module = *module;
    *module = NULL;
    tf_io_thread_submit(worker->loader, &job->io);
}

/* Nobody holds the entry and no load is under way. */
static void drop(struct tf_worker *worker, struct tf_entry *entry)
{
    struct tf_functions *const functions = &worker->functions;
    tf_memo_clear(&worker->memo);
    struct tf_entry **at = &functions->buckets[bucket_of(functions, entry->key)];
    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    functions->count--;
    if (h2o_linklist_is_linked(&entry->link))
        h2o_linklist_unlink(&entry->link);
    if (entry->function != NULL) {
        functions->loaded--;
        functions->bytes -= entry->bytes;
    }
    tf_function_destroy(&entry->function);
    release_module(worker, &entry->module);
    free(entry);
}

/* ---- loading ---- */

static void fail(struct tf_worker *worker, struct tf_entry *entry, uint64_t first_retry_ns,
                 const struct tf_error *error)
{
    entry->state = TF_ENTRY_FAILED;
    if (error->code == TF_ERR_NO_SLOT) {
        entry->error_id = 0;
        entry->retry_at_ns = tf_clock_ns() + RETRY_BUSY_NS;
        return;
    }
    uint64_t wait_ns = first_retry_ns;
    for (uint32_t i = 0; i < entry->failures && wait_ns < RETRY_NS_MAX; i++)
        wait_ns *= 2;
    entry->failures++;
    entry->retry_at_ns = tf_clock_ns() + (wait_ns < RETRY_NS_MAX ? wait_ns : RETRY_NS_MAX);
    entry->error_id = tf_worker_error_id(worker);
    char text[512];
    tf_log_escape((struct tf_text){error->text, strlen(error->text)}, text, sizeof(text));
    tf_log_line(&worker->log, TF_LOG_FAILURE, "error %016llx: artifact %.12s cannot be loaded: %s",
                (unsigned long long)entry->error_id, entry->key, text);
}

/* Images are memory that no kernel can take back: what was idle longest makes room. Where that is not enough, the load
 * finds no room either, and is tried again a little later. */
static void make_room(struct tf_worker *worker, uint64_t image_bytes)
{
    struct tf_functions *const functions = &worker->functions;
    struct tf_runtime_counters counters;
    for (;;) {
        tf_runtime_counters(worker->runtime, &counters);
        if (counters.image_bytes + image_bytes <= worker->config->limits.image_bytes ||
            h2o_linklist_is_empty(&functions->idle))
            return;
        drop(worker, H2O_STRUCT_FROM_MEMBER(struct tf_entry, link, functions->idle.next));
    }
}

/* Memory that no other process shares: constants with addresses in them, names of functions, and the start state of
 * instance and tables. */
static uint64_t bytes_of(const struct tf_module *module)
{
    const struct tf_abi_module *const abi = module->abi;
    uint64_t bytes = (uint64_t)(module->end - module->text_end) + abi->instance_bytes;
    bytes += (uint64_t)module->manifest.function_count * sizeof(module->manifest.functions[0]);
    for (uint32_t i = 0; i < abi->table_count; i++)
        bytes += (uint64_t)abi->tables[i].entries_max * abi->tables[i].entry_bytes;
    return bytes;
}

static void create_function(struct tf_worker *worker, struct tf_entry *entry)
{
    make_room(worker, entry->module->image_bytes);
    struct tf_function_source const source = {
        .abi = entry->module->abi,
        .text_begin = entry->module->text_begin,
        .text_end = entry->module->text_end,
        .image = entry->module->image,
        .image_bytes = entry->module->image_bytes,
    };
    struct tf_error error = {0};
    tf_report_enter(&worker->report, entry->key, tf_report_name(""), tf_report_name(""));
    int const code = tf_function_create(worker->runtime, &source, &entry->function, &error);
    tf_report_leave(&worker->report);
    if (code != 0) {
        error.code = code;
        fail(worker, entry, RETRY_GUEST_NS, &error);
        return;
    }
    entry->state = TF_ENTRY_READY;
    entry->failures = 0;
    entry->bytes = bytes_of(entry->module);
    worker->functions.loaded++;
    worker->functions.bytes += entry->bytes;
    tf_module_drop_image(entry->module); /* the function has a copy */
}

static void run_load(struct tf_io_job *io)
{
    struct load_job *const job = (struct load_job *)io;
    int const code = tf_module_load(job->cache, job->key, &job->module, &job->error);
    if (code != 0) {
        job->module = NULL;
        job->error.code = code;
    }
}

static void load_done(struct tf_io_job *io)
{
    struct load_job *const job = (struct load_job *)io;
    struct tf_worker *const worker = job->worker;
    struct tf_entry *entry = job->entry;
    h2o_linklist_unlink(&entry->link);
    if (worker->is_disposed) {
        tf_module_release(&job->module);
        free(job);
        drop(worker, entry);
        return;
    }
    entry->users++;
    if (job->module != NULL) {
        entry->module = job->module;
        create_function(worker, entry);
    } else {
        fail(worker, entry, RETRY_LOAD_NS, &job->error);
    }
    free(job);
    tf_exchange_load_ended(entry);
    tf_functions_release(worker, &entry);
    tf_routes_watch_acknowledge(worker);
}

static bool start_load(struct tf_worker *worker, struct tf_entry *entry)
{
    struct load_job *const job = calloc(1, sizeof(*job));
    if (job == NULL)
        return false;
    job->io.run = run_load;
    job->io.done = load_done;
    job->worker = worker;
    job->entry = entry;
    job->cache = worker->cache;
    memcpy(job->key, entry->key, sizeof(job->key));
    entry->state = TF_ENTRY_LOADING;
    entry->generation = tf_routes_generation(worker->routes.current);
    h2o_linklist_insert(&worker->functions.under_way, &entry->link);
    tf_io_thread_submit(worker->loader, &job->io);
    return true;
}

uint64_t tf_functions_oldest_load(const struct tf_functions *functions)
{
    if (functions->under_way.next == &functions->under_way)
        return UINT64_MAX;
    return H2O_STRUCT_FROM_MEMBER(struct tf_entry, link, functions->under_way.next)->generation;
}

/* ---- holding ---- */

static void evict_idle(struct tf_worker *worker)
{
    struct tf_functions *const functions = &worker->functions;
    const struct tf_limits *const limits = &worker->config->limits;
    while ((functions->loaded > limits->functions_loaded || functions->bytes > limits->loaded_bytes) &&
           !h2o_linklist_is_empty(&functions->idle))
        drop(worker, H2O_STRUCT_FROM_MEMBER(struct tf_entry, link, functions->idle.next));
}

struct tf_entry *tf_functions_hold(struct tf_worker *worker, const char *key)
{
    struct tf_functions *const functions = &worker->functions;
    struct tf_entry *entry = find(functions, key);
    if (entry == NULL) {
        entry = insert(functions, key);
        if (entry == NULL)
            return NULL;
        entry->state = TF_ENTRY_FAILED; /* due now */
    }
    return tf_functions_hold_entry(worker, entry);
}

struct tf_entry *tf_functions_hold_entry(struct tf_worker *worker, struct tf_entry *entry)
{
    if (entry->state == TF_ENTRY_FAILED && tf_clock_ns() >= entry->retry_at_ns) {
        if (entry->module != NULL)
            create_function(worker, entry);
        else if (!start_load(worker, entry) && entry->retry_at_ns == 0) {
            drop(worker, entry);
            return NULL;
        }
    }
    if (entry->users++ == 0 && entry->state == TF_ENTRY_READY && h2o_linklist_is_linked(&entry->link))
        h2o_linklist_unlink(&entry->link);
    return entry;
}

void tf_functions_release(struct tf_worker *worker, struct tf_entry **entry_pointer)
{
    struct tf_entry *const entry = *entry_pointer;
    *entry_pointer = NULL;
    if (--entry->users > 0 || entry->state == TF_ENTRY_LOADING)
        return;
    if (!entry->is_routed) {
        drop(worker, entry);
    } else if (entry->state == TF_ENTRY_READY) {
        h2o_linklist_insert(&worker->functions.idle, &entry->link);
        evict_idle(worker);
    }
}

void tf_functions_sweep(struct tf_worker *worker, bool (*is_routed)(void *context, const char *key), void *context)
{
    struct tf_functions *const functions = &worker->functions;
    for (size_t i = 0; i < functions->bucket_count; i++) {
        struct tf_entry *entry = functions->buckets[i];
        while (entry != NULL) {
            struct tf_entry *const next = entry->next_in_bucket;
            entry->is_routed = is_routed(context, entry->key);
            if (!entry->is_routed && entry->users == 0 && entry->state != TF_ENTRY_LOADING)
                drop(worker, entry);
            entry = next;
        }
    }
}

void tf_functions_init(struct tf_functions *functions)
{
    *functions = (struct tf_functions){.bucket_count = BUCKETS_FIRST};
    functions->buckets = calloc(BUCKETS_FIRST, sizeof(functions->buckets[0]));
    if (functions->buckets == NULL)
        h2o_fatal("no memory");
    h2o_linklist_init_anchor(&functions->under_way);
    h2o_linklist_init_anchor(&functions->idle);
}

static bool nothing_is_routed(void *context, const char *key)
{
    (void)context;
    (void)key;
    return false;
}

void tf_functions_drop(struct tf_worker *worker)
{
    tf_functions_sweep(worker, nothing_is_routed, NULL);
}

void tf_functions_dispose(struct tf_functions *functions)
{
    free(functions->buckets);
    functions->buckets = NULL;
}
