#include "h2o-handler/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "h2o-handler/state.h"

#define NOTE_EVERY_MS 5000u

/* ---- reading ---- */

/* `key` need not end. */
static void add(struct tf_recent_list *list, const char *key)
{
    char text[TF_HASH_HEX_BYTES];
    memcpy(text, key, TF_HASH_HEX_BYTES - 1);
    text[TF_HASH_HEX_BYTES - 1] = '\0';
    if (list->count == TF_RECENT_MOST || !tf_hash_is_hex(text))
        return;
    for (uint32_t i = 0; i < list->count; i++) {
        if (memcmp(list->keys[i], text, sizeof(text)) == 0)
            return;
    }
    memcpy(list->keys[list->count++], text, sizeof(text));
}

struct tf_recent_list *tf_recent_list_create(const struct tf_worker *worker)
{
    const struct tf_shared_acks *const acks = worker->routes.acks;
    uint64_t const most = worker->config->limits.warm_functions;
    struct tf_recent_list *const list = most > 0 ? calloc(1, sizeof(*list)) : NULL;
    if (list == NULL)
        return NULL;
    list->most = (uint32_t)(most < TF_RECENT_MOST ? most : TF_RECENT_MOST);
    if (acks == NULL)
        return list;
    const struct tf_shared_recent *const own = &acks->recent[worker->config->index];
    uint32_t const count = atomic_load_explicit(&own->count, memory_order_acquire);
    for (uint32_t i = 0; i < count && i < TF_RECENT_MOST; i++)
        add(list, own->keys[i]);
    return list;
}

void tf_recent_read(struct tf_recent_list *list, int folder_fd, bool (*is_routed)(void *context, const char *key),
                    void *context)
{
    struct tf_buffer text;
    tf_buffer_init(&text, TF_RECENT_MOST_BYTES);
    /* Absent or too large: then nobody says anything. */
    if (tf_file_read(folder_fd, TF_RECENT_NAME, &text, NULL) == 0) {
        for (size_t at = 0; text.length - at >= TF_HASH_HEX_BYTES; at += TF_HASH_HEX_BYTES)
            add(list, (const char *)text.bytes + at);
    }
    tf_buffer_dispose(&text);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count && kept < list->most; i++) {
        if (is_routed(context, list->keys[i]))
            memmove(list->keys[kept++], list->keys[i], sizeof(list->keys[i]));
    }
    list->count = kept;
}

/* ---- loading ---- */

void tf_recent_begin(struct tf_worker *worker, struct tf_recent_list *list)
{
    struct tf_recent *const recent = &worker->recent;
    free(recent->list);
    recent->list = list;
    recent->next = 0;
    recent->until_ms = h2o_now(worker->server.loop) + worker->config->limits.warm_ms;
}

/* One that a request waits for goes first: nothing is begun beside it. */
static void load_next(struct tf_worker *worker)
{
    struct tf_recent *const recent = &worker->recent;
    while (recent->next < recent->list->count && h2o_now(worker->server.loop) < recent->until_ms) {
        if (!h2o_linklist_is_empty(&worker->functions.under_way))
            return;
        const char *const key = recent->list->keys[recent->next++];
        /* What ends workers is not begun with: they would never come to serve. */
        struct tf_entry *entry =
            tf_report_quarantine_ns(&worker->report, key) == 0 ? tf_functions_hold(worker, key) : NULL;
        if (entry != NULL)
            tf_functions_release(worker, &entry);
    }
    free(recent->list);
    recent->list = NULL;
}

/* ---- noting ---- */

static void note(struct tf_worker *worker)
{
    struct tf_shared_recent *const own = &worker->routes.acks->recent[worker->config->index];
    const h2o_linklist_t *const idle = &worker->functions.idle;
    uint32_t count = 0;
    for (const h2o_linklist_t *at = idle->prev; at != idle && count < TF_RECENT_MOST; at = at->prev)
        memcpy(own->keys[count++], H2O_STRUCT_FROM_MEMBER(struct tf_entry, link, at)->key, sizeof(own->keys[0]));
    atomic_store_explicit(&own->count, count, memory_order_release);
}

void tf_recent_end(struct tf_worker *worker)
{
    if (worker->recent.list == NULL && worker->routes.acks != NULL && worker->routes.current != NULL)
        note(worker);
}

void tf_recent_turn(struct tf_worker *worker)
{
    struct tf_recent *const recent = &worker->recent;
    if (recent->list != NULL) {
        load_next(worker);
        return; /* what is not loaded yet is not forgotten before it is */
    }
    uint64_t const now_ms = h2o_now(worker->server.loop);
    if (now_ms < recent->next_note_ms || worker->routes.acks == NULL || worker->routes.current == NULL)
        return;
    recent->next_note_ms = now_ms + NOTE_EVERY_MS;
    note(worker);
}

void tf_recent_dispose(struct tf_recent *recent)
{
    free(recent->list);
    recent->list = NULL;
}
