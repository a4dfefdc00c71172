#include "sites/domain_table.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/error.h"
#include "sites/class.h"
#include "sites/siphash.h"

/* A row that changes under the reader's eyes so often has a writer that died, or lies. */
#define READ_ATTEMPTS 4

_Static_assert(sizeof(struct tf_domain_page) <= TF_DOMAIN_PAGE_BYTES, "the head of the table");

static uint32_t sets_of(uint64_t rows)
{
    return rows < TF_DOMAIN_WAYS ? 1 : (uint32_t)(rows / TF_DOMAIN_WAYS);
}

size_t tf_domain_table_bytes(uint64_t known, uint64_t others)
{
    return TF_DOMAIN_PAGE_BYTES +
           (size_t)(sets_of(known) + sets_of(others)) * TF_DOMAIN_WAYS * sizeof(struct tf_domain_row);
}

int tf_domain_table_open(int fd, uint64_t known, uint64_t others, bool is_writer, struct tf_domain_table *ret_table,
                         struct tf_error *error)
{
    size_t const bytes = tf_domain_table_bytes(known, others);
    struct stat status;
    if (fstat(fd, &status) != 0)
        return tf_error_system(error, "cannot look at the table of domains");
    if ((uint64_t)status.st_size < bytes)
        return tf_error_set(error, TF_ERR_CORRUPT, "the table of domains is too small");
    void *const memory = mmap(NULL, bytes, is_writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return tf_error_system(error, "cannot map the table of domains");
    ret_table->page = memory;
    ret_table->bytes = bytes;
    ret_table->sets[TF_DOMAIN_KNOWN] = sets_of(known);
    ret_table->sets[TF_DOMAIN_OTHERS] = sets_of(others);
    ret_table->rows[TF_DOMAIN_KNOWN] = (struct tf_domain_row *)(void *)((char *)memory + TF_DOMAIN_PAGE_BYTES);
    ret_table->rows[TF_DOMAIN_OTHERS] =
        ret_table->rows[TF_DOMAIN_KNOWN] + (size_t)ret_table->sets[TF_DOMAIN_KNOWN] * TF_DOMAIN_WAYS;
    return 0;
}

void tf_domain_table_close(struct tf_domain_table *table)
{
    if (table->page != NULL)
        munmap(table->page, table->bytes);
    *table = (struct tf_domain_table){.page = NULL};
}

uint32_t tf_domain_table_set(const struct tf_domain_table *table, enum tf_domain_area area, const char *host)
{
    uint64_t const seed[2] = {table->page->seed[0], table->page->seed[1]};
    return (uint32_t)(tf_siphash(seed, host, strlen(host)) % table->sets[area]) * TF_DOMAIN_WAYS;
}

/* ---- reading ---- */

static bool is_text(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) != NULL;
}

/* A copy that is whole. False: the row is of another host, or changes all the time. */
static bool copy_row(const struct tf_domain_row *row, const char *host, size_t host_bytes, struct tf_domain_row *copy,
                     uint32_t *ret_version)
{
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint32_t const version = atomic_load_explicit(&row->version, memory_order_acquire);
        if (version == 0 || memcmp(row->host, host, host_bytes) != 0)
            return false;
        memcpy((void *)copy, (const void *)row, sizeof(*copy));
        atomic_thread_fence(memory_order_acquire);
        if ((version & 1) == 0 && atomic_load_explicit(&row->version, memory_order_relaxed) == version) {
            *ret_version = version;
            return memcmp(copy->host, host, host_bytes) == 0;
        }
    }
    return false;
}

/* The service reads strangers' bytes: what it wrote is judged as theirs. */
static bool take_fact(const struct tf_domain_row *copy, struct tf_domain_fact *ret_fact)
{
    char canonical[TF_SITE_NAME_BYTES];
    if (copy->verdict >= TF_DOMAIN_VERDICT_COUNT || !is_text(copy->site, sizeof(copy->site)) ||
        !is_text(copy->path, sizeof(copy->path)))
        return false;
    ret_fact->verdict = (enum tf_domain_verdict)copy->verdict;
    ret_fact->refresh_ns = copy->refresh_ns;
    ret_fact->until_ns = copy->until_ns;
    ret_fact->stale_ns = copy->stale_ns;
    if (ret_fact->verdict == TF_DOMAIN_MAPPED &&
        (!tf_class_canonical(copy->site, canonical) || strcmp(canonical, copy->site) != 0 ||
         !tf_domain_path_is_valid(copy->path)))
        return false;
    memcpy(ret_fact->root.site, copy->site, sizeof(copy->site));
    memcpy(ret_fact->root.path, copy->path, sizeof(copy->path));
    return true;
}

bool tf_domain_table_find(const struct tf_domain_table *table, const char *host, struct tf_domain_fact *ret_fact,
                          struct tf_domain_seen *ret_seen)
{
    size_t const host_bytes = strlen(host) + 1;
    struct tf_domain_row copy;
    if (host_bytes > TF_SITE_NAME_BYTES || host_bytes == 1)
        return false;
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        const struct tf_domain_row *const set =
            table->rows[area] + tf_domain_table_set(table, (enum tf_domain_area)area, host);
        for (uint32_t i = 0; i < TF_DOMAIN_WAYS; i++) {
            uint32_t version;
            if (!copy_row(&set[i], host, host_bytes, &copy, &version))
                continue;
            if (ret_seen != NULL)
                *ret_seen = (struct tf_domain_seen){.version = &set[i].version, .value = version};
            return take_fact(&copy, ret_fact);
        }
    }
    return false;
}

/* ---- writing ---- */

void tf_domain_table_write(struct tf_domain_row *row, const char *host, const struct tf_domain_fact *fact)
{
    uint32_t version = atomic_load_explicit(&row->version, memory_order_relaxed) | 1;
    atomic_store_explicit(&row->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memset(row->host, 0, sizeof(row->host));
    memset(row->site, 0, sizeof(row->site));
    memset(row->path, 0, sizeof(row->path));
    row->refresh_ns = row->until_ns = row->stale_ns = 0;
    if (fact != NULL) {
        memcpy(row->host, host, strlen(host));
        row->verdict = fact->verdict;
        row->refresh_ns = fact->refresh_ns;
        row->until_ns = fact->until_ns;
        row->stale_ns = fact->stale_ns;
        if (fact->verdict == TF_DOMAIN_MAPPED) {
            memcpy(row->site, fact->root.site, strlen(fact->root.site));
            memcpy(row->path, fact->root.path, strlen(fact->root.path));
        }
    }
    version += 1;
    atomic_store_explicit(&row->version, version != 0 ? version : 2, memory_order_release);
}

void tf_domain_table_mend(struct tf_domain_table *table)
{
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        for (uint32_t i = 0; i < table->sets[area] * TF_DOMAIN_WAYS; i++) {
            struct tf_domain_row *const row = &table->rows[area][i];
            if ((atomic_load_explicit(&row->version, memory_order_relaxed) & 1) != 0)
                tf_domain_table_write(row, "", NULL);
        }
    }
}
