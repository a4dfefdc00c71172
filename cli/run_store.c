#include "cli/run_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include <terrafirma/kv.h>

struct tf_run_entry {
    struct tf_run_entry *next;
    size_t key_length, value_length;
    uint8_t *value;
    uint8_t key[];
};

struct tf_run_answer {
    struct tf_run_answer *next;
    uint64_t ticket;
    size_t length;
    uint8_t bytes[];
};

/* ---- the store ---- */

static struct tf_run_entry **find(struct tf_run_store *store, const struct tf_kv_call *call)
{
    struct tf_run_entry **at = &store->entries;
    while (*at != NULL && ((*at)->key_length != call->key_length ||
                           memcmp((*at)->key, call->key, call->key_length) != 0))
        at = &(*at)->next;
    return at;
}

static void remove_entry(struct tf_run_store *store, struct tf_run_entry **at)
{
    struct tf_run_entry *const entry = *at;
    store->keys--;
    store->bytes -= entry->key_length + entry->value_length;
    *at = entry->next;
    free(entry->value);
    free(entry);
}

/* Behind what is there with `kept` bytes of it. */
static enum tf_kv_result put(struct tf_run_store *store, struct tf_run_entry **at, const struct tf_kv_call *call,
                             size_t kept)
{
    struct tf_run_entry *entry = *at;
    bool const is_new = entry == NULL;
    size_t const before = is_new ? 0 : entry->key_length + entry->value_length;
    size_t const length = kept + call->value_length;
    if (length > store->limits.kv_value_bytes)
        return TF_KV_VALUE_LONG;
    if (is_new && store->keys >= store->limits.kv_site_keys)
        return TF_KV_KEYS_FULL;
    if (store->bytes - before + call->key_length + length > store->limits.kv_site_bytes)
        return TF_KV_BYTES_FULL;
    uint8_t *const value = malloc(length + 1);
    if (is_new)
        entry = calloc(1, sizeof(*entry) + call->key_length);
    if (value == NULL || entry == NULL) {
        free(value);
        if (is_new)
            free(entry);
        return TF_KV_FAILED;
    }
    if (is_new) {
        entry->key_length = call->key_length;
        memcpy(entry->key, call->key, call->key_length);
        store->keys++;
        *at = entry;
    }
    if (kept > 0)
        memcpy(value, entry->value, kept);
    memcpy(value + kept, call->value, call->value_length);
    free(entry->value);
    entry->value = value;
    entry->value_length = length;
    store->bytes += call->key_length + length - before;
    return is_new ? TF_KV_ABSENT : TF_KV_PRESENT;
}

static enum tf_kv_result act(struct tf_run_store *store, uint32_t kind, const struct tf_kv_call *call,
                             struct tf_run_entry **at)
{
    bool const is_there = *at != NULL;
    switch (kind) {
    case TF_KV_INSERT:
        return put(store, at, call, 0);
    case TF_KV_UPSERT:
        return is_there ? TF_KV_PRESENT : put(store, at, call, 0);
    case TF_KV_APPEND:
        return put(store, at, call, is_there ? (*at)->value_length : 0);
    case TF_KV_REMOVE:
        if (is_there)
            remove_entry(store, at);
        return is_there ? TF_KV_PRESENT : TF_KV_ABSENT;
    default:
        return is_there ? TF_KV_PRESENT : TF_KV_ABSENT;
    }
}

/* ---- calls ---- */

static uint64_t answer(struct tf_run_store *store, uint32_t kind, const struct tf_kv_call *call)
{
    struct tf_run_entry **const at = find(store, call);
    struct tf_kv_answer const head = {.result = act(store, kind, call, at)};
    bool const has_value = kind == TF_KV_GET && *at != NULL;
    size_t const value_length = has_value ? (*at)->value_length : 0;
    struct tf_run_answer *const answer = malloc(sizeof(*answer) + sizeof(head) + value_length);
    if (answer == NULL)
        return 0;
    *answer = (struct tf_run_answer){
        .next = store->answers, .ticket = ++store->serial, .length = sizeof(head) + value_length};
    memcpy(answer->bytes, &head, sizeof(head));
    if (value_length > 0)
        memcpy(answer->bytes + sizeof(head), (*at)->value, value_length);
    store->answers = answer;
    return answer->ticket;
}

uint64_t tf_run_store_submit(struct tf_run_store *store, enum tf_service service, uint32_t kind,
                             const struct tf_service_part *parts, size_t part_count)
{
    if (service != TF_SERVICE_KV) {
        if (!store->has_said)
            fprintf(stderr, "terrafirma: run: no network here: outbound requests and DNS queries fail; "
                            "`terrafirma serve` has them (outbound.rules)\n");
        store->has_said = true;
        return 0;
    }
    struct tf_buffer message;
    struct tf_kv_call call;
    tf_buffer_init(&message, TF_SERVICE_MESSAGE_BYTES);
    for (size_t i = 0; i < part_count; i++)
        tf_buffer_append(&message, parts[i].bytes, parts[i].length);
    uint64_t const ticket = !message.failed && tf_kv_call_parse(kind, message.bytes, message.length, &call)
                                ? answer(store, kind, &call)
                                : 0;
    tf_buffer_dispose(&message);
    return ticket;
}

struct tf_service_answer tf_run_store_look(const struct tf_run_store *store, uint64_t ticket)
{
    const struct tf_run_answer *answer = store->answers;
    while (answer != NULL && answer->ticket != ticket)
        answer = answer->next;
    if (answer == NULL)
        return (struct tf_service_answer){.status = TF_SERVICE_GONE};
    return (struct tf_service_answer){.status = TF_SERVICE_OK, .bytes = answer->bytes, .length = answer->length};
}

void tf_run_store_release(struct tf_run_store *store, uint64_t ticket)
{
    struct tf_run_answer **at = &store->answers;
    while (*at != NULL && (*at)->ticket != ticket)
        at = &(*at)->next;
    struct tf_run_answer *const answer = *at;
    if (answer == NULL)
        return;
    *at = answer->next;
    free(answer);
}

void tf_run_store_dispose(struct tf_run_store *store)
{
    while (store->entries != NULL)
        remove_entry(store, &store->entries);
    while (store->answers != NULL)
        tf_run_store_release(store, store->answers->ticket);
}
