#include "services/kv_store.h"

#include <endian.h>
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define DATABASES 3u
#define SITE_BYTES_MAX 255u
#define ID_BYTES sizeof(uint64_t)

struct tf_kv_store {
    struct tf_kv_limits limits;
    MDB_env *env;
    MDB_dbi sites, data, next;
    MDB_txn *txn;    /* the batch */
    bool is_changed; /* by the batch */
    bool others_wrote;
    uint64_t last;   /* LMDB's number of the last transaction that we know of */
};

static int fail(struct tf_error *error, int failure, const char *what)
{
    bool const is_corrupt = failure == MDB_INVALID || failure == MDB_VERSION_MISMATCH;
    return tf_error_set(error, is_corrupt ? TF_ERR_CORRUPT : TF_ERR_SYSTEM, "key-value store: %s: %s", what,
                        mdb_strerror(failure));
}

/* ---- opening ---- */

static int open_databases(struct tf_kv_store *store, bool for_writing, struct tf_error *error)
{
    unsigned const flags = for_writing ? MDB_CREATE : 0;
    MDB_txn *txn;
    int failure = mdb_txn_begin(store->env, NULL, for_writing ? 0 : MDB_RDONLY, &txn);
    if (failure != 0)
        return fail(error, failure, "cannot begin");
    failure = mdb_dbi_open(txn, TF_KV_SITES, flags, &store->sites);
    if (failure == 0)
        failure = mdb_dbi_open(txn, TF_KV_DATA, flags, &store->data);
    if (failure == 0)
        failure = mdb_dbi_open(txn, "next", flags, &store->next);
    if (failure == 0)
        failure = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return failure == 0 ? 0 : fail(error, failure, "cannot open its databases");
}

int tf_kv_open(const char *folder, const struct tf_kv_limits *limits, bool for_writing, struct tf_kv_store **ret_store,
               struct tf_error *error)
{
    struct tf_kv_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return tf_error_system(error, "no memory for the key-value store");
    store->limits = *limits;
    int failure = mdb_env_create(&store->env);
    if (failure == 0)
        failure = mdb_env_set_maxdbs(store->env, DATABASES);
    if (failure == 0) /* whole pages; the file grows as it is used */
        failure = mdb_env_set_mapsize(store->env, (size_t)limits->bytes / 65536 * 65536);
    /* Without readahead: what is asked for lies anywhere. */
    if (failure == 0)
        failure = mdb_env_open(store->env, folder, MDB_NOTLS | MDB_NORDAHEAD | (for_writing ? 0 : MDB_RDONLY), 0600);
    int result = failure == 0 ? 0 : fail(error, failure, folder);
    if (result == 0) {
        int dead;
        mdb_reader_check(store->env, &dead); /* a reader that died would keep old pages from being used again */
        result = open_databases(store, for_writing, error);
    }
    if (result == 0) {
        (void)tf_kv_others_wrote(store);
        *ret_store = store;
    } else {
        tf_kv_close(&store);
    }
    return result;
}

void tf_kv_close(struct tf_kv_store **store_pointer)
{
    struct tf_kv_store *const store = *store_pointer;
    if (store == NULL)
        return;
    tf_kv_abort(store);
    if (store->env != NULL)
        mdb_env_close(store->env);
    free(store);
    *store_pointer = NULL;
}

/* ---- batches ---- */

static void see(struct tf_kv_store *store, uint64_t last)
{
    store->others_wrote |= last != store->last;
    store->last = last;
}

int tf_kv_begin(struct tf_kv_store *store, bool for_writing, struct tf_error *error)
{
    int const failure = mdb_txn_begin(store->env, NULL, for_writing ? 0 : MDB_RDONLY, &store->txn);
    if (failure != 0) {
        store->txn = NULL;
        return fail(error, failure, "cannot begin");
    }
    store->is_changed = false;
    see(store, (uint64_t)mdb_txn_id(store->txn) - for_writing); /* one that writes has the number it will make */
    return 0;
}

int tf_kv_commit(struct tf_kv_store *store, struct tf_error *error)
{
    MDB_txn *const txn = store->txn;
    uint64_t const number = (uint64_t)mdb_txn_id(txn);
    store->txn = NULL;
    int const failure = mdb_txn_commit(txn);
    if (failure == 0 && store->is_changed)
        store->last = number; /* one that changed nothing makes no number */
    return failure == 0 ? 0 : fail(error, failure, "cannot commit");
}

void tf_kv_abort(struct tf_kv_store *store)
{
    if (store->txn != NULL)
        mdb_txn_abort(store->txn);
    store->txn = NULL;
}

bool tf_kv_others_wrote(struct tf_kv_store *store)
{
    MDB_envinfo info;
    if (store->txn == NULL && mdb_env_info(store->env, &info) == 0)
        see(store, (uint64_t)info.me_last_txnid);
    bool const result = store->others_wrote;
    store->others_wrote = false;
    return result;
}

uint64_t tf_kv_number(const struct tf_kv_store *store)
{
    return store->last;
}

int tf_kv_file(struct tf_kv_store *store)
{
    int fd = -1;
    return mdb_env_get_fd(store->env, &fd) == 0 ? fd : -1;
}

/* ---- sites ---- */

static bool find_site(struct tf_kv_store *store, const char *name, struct tf_kv_site *ret_site)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value;
    if (mdb_get(store->txn, store->sites, &key, &value) != 0 || value.mv_size != sizeof(*ret_site))
        return false;
    memcpy(ret_site, value.mv_data, sizeof(*ret_site));
    return true;
}

static int put_site(struct tf_kv_store *store, const char *name, const struct tf_kv_site *site)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value = {sizeof(*site), (void *)(uintptr_t)site};
    return site->keys > 0 ? mdb_put(store->txn, store->sites, &key, &value, 0)
                          : mdb_del(store->txn, store->sites, &key, NULL);
}

static int new_site(struct tf_kv_store *store, struct tf_kv_site *ret_site)
{
    uint64_t next = 1;
    char name = 0;
    MDB_val key = {sizeof(name), &name}, value;
    int failure = mdb_get(store->txn, store->next, &key, &value);
    if (failure == 0 && value.mv_size == sizeof(next))
        memcpy(&next, value.mv_data, sizeof(next));
    else if (failure != MDB_NOTFOUND)
        return failure == 0 ? MDB_CORRUPTED : failure;
    *ret_site = (struct tf_kv_site){.id = next++};
    value = (MDB_val){sizeof(next), &next};
    store->is_changed = true;
    return mdb_put(store->txn, store->next, &key, &value, 0);
}

struct tf_kv_usage tf_kv_usage_of(struct tf_kv_store *store, const char *name)
{
    struct tf_kv_site site;
    if (!find_site(store, name, &site))
        return (struct tf_kv_usage){0};
    return (struct tf_kv_usage){site.keys, site.bytes};
}

/* ---- keys ---- */

struct data_key {
    uint8_t bytes[ID_BYTES + TF_KV_KEY_BYTES_MAX];
    size_t length;
};

static void make_key(struct data_key *data_key, uint64_t id, const void *key, size_t length)
{
    uint64_t const big = htobe64(id);
    memcpy(data_key->bytes, &big, ID_BYTES);
    if (length > 0)
        memcpy(data_key->bytes + ID_BYTES, key, length);
    data_key->length = ID_BYTES + length;
}

static enum tf_kv_result result_of(int failure)
{
    return failure == MDB_MAP_FULL || failure == ENOSPC || failure == EDQUOT ? TF_KV_STORE_FULL : TF_KV_FAILED;
}

enum tf_kv_result tf_kv_get(struct tf_kv_store *store, const char *name, const void *key, size_t key_length,
                            const uint8_t **ret_value, size_t *ret_length)
{
    struct tf_kv_site site;
    struct data_key data_key;
    MDB_val value;
    if (!find_site(store, name, &site))
        return TF_KV_ABSENT;
    make_key(&data_key, site.id, key, key_length);
    MDB_val wanted = {data_key.length, data_key.bytes};
    int const failure = mdb_get(store->txn, store->data, &wanted, &value);
    if (failure == MDB_NOTFOUND)
        return TF_KV_ABSENT;
    if (failure != 0)
        return result_of(failure);
    *ret_value = value.mv_data;
    *ret_length = value.mv_size;
    return TF_KV_PRESENT;
}

/* What a site has after a change, or the limit that the change would break. */
static enum tf_kv_result account(const struct tf_kv_store *store, struct tf_kv_site *site, bool is_present,
                                 size_t key_length, size_t old_length, size_t new_length)
{
    if (new_length > store->limits.value_bytes)
        return TF_KV_VALUE_LONG;
    if (!is_present) {
        site->keys++;
        site->bytes += key_length;
    }
    site->bytes = site->bytes - old_length + new_length;
    if (!is_present && site->keys > store->limits.site_keys)
        return TF_KV_KEYS_FULL;
    /* What makes a site smaller is let through, also where an operator lowered the limit. */
    return (!is_present || new_length > old_length) && site->bytes > store->limits.site_bytes ? TF_KV_BYTES_FULL
                                                                                              : TF_KV_ABSENT;
}

/* `old` lies in a page that the put may change: both parts are copied into what it makes room for. */
static int put(struct tf_kv_store *store, MDB_val *key, const MDB_val *old, const struct tf_kv_call *call)
{
    size_t const kept = old != NULL ? old->mv_size : 0;
    uint8_t *const bytes = malloc(kept + call->value_length + 1);
    if (bytes == NULL)
        return ENOMEM;
    if (kept > 0)
        memcpy(bytes, old->mv_data, kept);
    if (call->value_length > 0)
        memcpy(bytes + kept, call->value, call->value_length);
    MDB_val value = {kept + call->value_length, bytes};
    store->is_changed = true;
    int const failure = mdb_put(store->txn, store->data, key, &value, 0);
    free(bytes);
    return failure;
}

static enum tf_kv_result remove_key(struct tf_kv_store *store, const char *name, struct tf_kv_site *site, MDB_val *key,
                                    size_t key_length, const MDB_val *old)
{
    site->keys--;
    site->bytes -= key_length + old->mv_size;
    store->is_changed = true;
    int failure = mdb_del(store->txn, store->data, key, NULL);
    if (failure == 0)
        failure = put_site(store, name, site);
    return failure == 0 ? TF_KV_PRESENT : result_of(failure);
}

enum tf_kv_result tf_kv_apply(struct tf_kv_store *store, enum tf_kv_kind kind, const char *name,
                              const struct tf_kv_call *call)
{
    struct tf_kv_site site;
    struct data_key data_key;
    MDB_val old;
    if (strlen(name) > SITE_BYTES_MAX || call->key_length > TF_KV_KEY_BYTES_MAX)
        return TF_KV_FAILED;
    bool const is_known = find_site(store, name, &site);
    int failure = is_known || kind == TF_KV_REMOVE ? 0 : new_site(store, &site);
    if (failure != 0)
        return result_of(failure);
    if (!is_known && kind == TF_KV_REMOVE)
        return TF_KV_ABSENT;
    make_key(&data_key, site.id, call->key, call->key_length);
    MDB_val key = {data_key.length, data_key.bytes};
    failure = mdb_get(store->txn, store->data, &key, &old);
    if (failure != 0 && failure != MDB_NOTFOUND)
        return result_of(failure);
    bool const is_present = failure == 0;
    if (kind == TF_KV_REMOVE)
        return is_present ? remove_key(store, name, &site, &key, call->key_length, &old) : TF_KV_ABSENT;
    if (kind == TF_KV_UPSERT && is_present)
        return TF_KV_PRESENT;
    size_t const old_length = is_present ? old.mv_size : 0;
    bool const appends = kind == TF_KV_APPEND && is_present;
    enum tf_kv_result const refusal = account(store, &site, is_present, call->key_length, old_length,
                                              call->value_length + (appends ? old_length : 0));
    if (refusal != TF_KV_ABSENT)
        return refusal;
    failure = put(store, &key, appends ? &old : NULL, call);
    if (failure == 0)
        failure = put_site(store, name, &site);
    if (failure != 0)
        return result_of(failure);
    return is_present ? TF_KV_PRESENT : TF_KV_ABSENT;
}

/* ---- looking through ---- */

int tf_kv_each_site(struct tf_kv_store *store, bool (*each)(void *context, const char *site, struct tf_kv_usage usage),
                    void *context, struct tf_error *error)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int failure = mdb_cursor_open(store->txn, store->sites, &cursor);
    if (failure != 0)
        return fail(error, failure, "cannot look through sites");
    while ((failure = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        char name[SITE_BYTES_MAX + 1] = "";
        struct tf_kv_site site;
        if (key.mv_size > SITE_BYTES_MAX || value.mv_size != sizeof(site))
            continue;
        memcpy(name, key.mv_data, key.mv_size);
        memcpy(&site, value.mv_data, sizeof(site));
        if (!each(context, name, (struct tf_kv_usage){site.keys, site.bytes}))
            break;
    }
    mdb_cursor_close(cursor);
    return failure == 0 || failure == MDB_NOTFOUND ? 0 : fail(error, failure, "cannot look through sites");
}

int tf_kv_each_key(struct tf_kv_store *store, const char *name, const void *from, size_t from_length,
                   bool (*each)(void *context, const uint8_t *key, size_t key_length, const uint8_t *value,
                                size_t value_length),
                   void *context, struct tf_error *error)
{
    struct tf_kv_site site;
    struct data_key start;
    MDB_cursor *cursor;
    MDB_val value;
    if (from_length > TF_KV_KEY_BYTES_MAX || !find_site(store, name, &site))
        return 0;
    make_key(&start, site.id, from, from_length);
    MDB_val key = {start.length, start.bytes};
    int failure = mdb_cursor_open(store->txn, store->data, &cursor);
    if (failure != 0)
        return fail(error, failure, "cannot look through keys");
    failure = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (failure == 0 && key.mv_size >= ID_BYTES && memcmp(key.mv_data, start.bytes, ID_BYTES) == 0 &&
           each(context, (const uint8_t *)key.mv_data + ID_BYTES, key.mv_size - ID_BYTES, value.mv_data, value.mv_size))
        failure = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
    return failure == 0 || failure == MDB_NOTFOUND ? 0 : fail(error, failure, "cannot look through keys");
}
