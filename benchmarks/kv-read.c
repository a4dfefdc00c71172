/*
 * What a read of the key-value store costs where no worker remembers the value, beside LMDB's own: kv-read [KEYS]
 *
 * Both read every key once, in the same order, which is none. LMDB's read transaction is kept and renewed for each.
 */
#include <endian.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "h2o-handler/kv_view.h"
#include "services/kv_store.h"

#define SITE "site.example"
#define ROUNDS 9u

static char folder[] = "/tmp/terrafirma-kv-read-XXXXXX";
static struct tf_kv_store *store;
static struct tf_error error;
static uint32_t keys;

static int key_of(char *text, size_t size, uint32_t round, uint32_t i)
{
    return snprintf(text, size, "key-%08u", (uint32_t)(((uint64_t)i * 7919 + round) % keys));
}

static void check(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    fprintf(stderr, "kv-read: %s\n", what);
    exit(1);
}

static void fill(void)
{
    struct tf_kv_limits const limits = {
        .bytes = 16ull << 30, .value_bytes = 1u << 20, .site_keys = UINT32_MAX, .site_bytes = 1ull << 40};
    char key[32], value[] = "some value of some thirty bytes";
    check(tf_kv_open(folder, &limits, true, &store, &error) == 0, error.text);
    for (uint32_t i = 0; i < keys; i++) {
        if (i % 10000 == 0)
            check(tf_kv_begin(store, true, &error) == 0, error.text);
        struct tf_kv_call const call = {(const uint8_t *)key, (const uint8_t *)value,
                                        (size_t)snprintf(key, sizeof(key), "key-%08u", i), sizeof(value)};
        check(tf_kv_apply(store, TF_KV_INSERT, SITE, &call) == TF_KV_ABSENT, "a key was there already");
        if (i % 10000 == 9999 || i + 1 == keys)
            check(tf_kv_commit(store, &error) == 0, error.text);
    }
    (void)tf_kv_others_wrote(store);
}

static double read_by_view(struct tf_kv_view *view, uint32_t round)
{
    uint64_t const began = tf_clock_ns();
    for (uint32_t i = 0; i < keys; i++) {
        char key[32];
        size_t length;
        struct tf_kv_call const call = {.key = (const uint8_t *)key,
                                        .key_length = (size_t)key_of(key, sizeof(key), round, i)};
        uint8_t *const answer = tf_kv_view_get(view, SITE, &call, 1u << 20, &length);
        check(answer != NULL && length > sizeof(struct tf_kv_answer), "the view does not find a key");
        free(answer);
    }
    return (double)(tf_clock_ns() - began) / keys;
}

static double read_by_lmdb(MDB_txn *txn, MDB_dbi sites, MDB_dbi data, uint32_t round)
{
    uint64_t const began = tf_clock_ns();
    for (uint32_t i = 0; i < keys; i++) {
        uint8_t key[64];
        MDB_val name = {strlen(SITE), SITE}, value;
        check(mdb_txn_renew(txn) == 0 && mdb_get(txn, sites, &name, &value) == 0, "LMDB does not find the site");
        struct tf_kv_site site;
        memcpy(&site, value.mv_data, sizeof(site));
        uint64_t const id = htobe64(site.id);
        memcpy(key, &id, sizeof(id));
        MDB_val wanted = {sizeof(id) + (size_t)key_of((char *)key + sizeof(id), 32, round, i), key};
        check(mdb_get(txn, data, &wanted, &value) == 0, "LMDB does not find a key");
        void *const copy = malloc(value.mv_size);
        memcpy(copy, value.mv_data, value.mv_size);
        __asm__ volatile("" : : "r"(copy) : "memory");
        free(copy);
        mdb_txn_reset(txn);
    }
    return (double)(tf_clock_ns() - began) / keys;
}

static struct tf_kv_page *make_page(int *ret_fd)
{
    struct stat status;
    *ret_fd = memfd_create("page", MFD_CLOEXEC);
    check(*ret_fd > 0 && ftruncate(*ret_fd, sizeof(struct tf_kv_page)) == 0, "no memory");
    struct tf_kv_page *const page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
    check(page != MAP_FAILED && fstat(tf_kv_file(store), &status) == 0, "no page");
    atomic_store(&page->device, status.st_dev);
    atomic_store(&page->inode, status.st_ino);
    atomic_store(&page->number, tf_kv_number(store));
    return page;
}

static int by_size(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void measure(void)
{
    struct tf_kv_view view;
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi sites = 0, data = 0;
    int page_fd;
    char path[64];
    double first = 0, by_view[ROUNDS], by_lmdb[ROUNDS];
    (void)make_page(&page_fd);
    snprintf(path, sizeof(path), "%s/%s", folder, TF_KV_FILE);
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd > 0 && tf_kv_view_init(&view, page_fd, fd, &error) == 0, "the view does not open");
    tf_kv_close(&store); /* one process has a file open once, says LMDB */
    check(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 3) == 0 &&
              mdb_env_open(env, folder, MDB_RDONLY | MDB_NOTLS, 0600) == 0 &&
              mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 && mdb_dbi_open(txn, TF_KV_SITES, 0, &sites) == 0 &&
              mdb_dbi_open(txn, TF_KV_DATA, 0, &data) == 0 && mdb_txn_commit(txn) == 0 &&
              mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0,
          "LMDB does not open");
    mdb_txn_reset(txn);
    first = read_by_view(&view, ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        by_view[i] = read_by_view(&view, i);
        by_lmdb[i] = read_by_lmdb(txn, sites, data, i);
    }
    qsort(by_view, ROUNDS, sizeof(double), by_size);
    qsort(by_lmdb, ROUNDS, sizeof(double), by_size);
    printf("%u keys, ns a read: first of all %.0f; then, median of %u: %.0f; LMDB's own: %.0f (ratio %.2f)\n", keys,
           first, ROUNDS, by_view[ROUNDS / 2], by_lmdb[ROUNDS / 2], by_view[ROUNDS / 2] / by_lmdb[ROUNDS / 2]);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    tf_kv_view_dispose(&view);
    close(fd);
}

int main(int argc, char **argv)
{
    char path[64];
    keys = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    check(keys > 0 && keys % 7919 != 0 && mkdtemp(folder) != NULL, "cannot begin");
    fill();
    measure();
    static const char *const files[] = {TF_KV_FILE, "lock.mdb"};
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder) != 0;
}
