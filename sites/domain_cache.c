#include "sites/domain_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

#define BUCKETS 1024u
/* While as many as may be are looked up at once: until one of them ends, more or less. */
#define FULL_NS (2 * TF_NS_PER_MS)

struct lookup {
    struct lookup *next; /* in its bucket */
    char host[TF_SITE_NAME_BYTES];
    uint64_t tickets[]; /* by asker; 0: does not ask */
};

/* So many in a second, and twice that at once. */
struct budget {
    uint64_t rate, scaled; /* scaled: tokens × TF_NS_PER_S */
    uint64_t at_ns;
};

/* What the writer alone knows of a row. */
struct use {
    uint64_t asked_ns;
    bool is_kept; /* it was asked for again after it had been there a while */
};

struct tf_domain_cache {
    struct tf_domain_cache_config config;
    struct lookup *buckets[BUCKETS];
    uint32_t looking;
    struct budget fresh, refreshes;
    struct use *uses[TF_DOMAIN_AREA_COUNT];
};

/* ---- look-ups under way ---- */

static struct lookup **place_of(struct tf_domain_cache *cache, const char *host)
{
    uint32_t hash = 2166136261u;
    for (const char *c = host; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    struct lookup **at = &cache->buckets[(hash ^ hash >> 15) % BUCKETS];
    while (*at != NULL && strcmp((*at)->host, host) != 0)
        at = &(*at)->next;
    return at;
}

static bool take_token(struct budget *budget, uint64_t now_ns)
{
    uint64_t const most = 2 * budget->rate * TF_NS_PER_S;
    uint64_t passed_ns = now_ns - budget->at_ns;
    passed_ns = passed_ns < 2 * TF_NS_PER_S ? passed_ns : 2 * TF_NS_PER_S;
    budget->at_ns = now_ns;
    budget->scaled += passed_ns * budget->rate;
    budget->scaled = budget->scaled < most ? budget->scaled : most;
    if (budget->scaled < TF_NS_PER_S)
        return false;
    budget->scaled -= TF_NS_PER_S;
    return true;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- rows ---- */

static struct tf_domain_row *row_of(struct tf_domain_cache *cache, enum tf_domain_area area, const char *host,
                                    struct use **ret_use)
{
    uint32_t const set = tf_domain_table_set(cache->config.table, area, host);
    for (uint32_t i = 0; i < TF_DOMAIN_WAYS; i++) {
        struct tf_domain_row *const row = &cache->config.table->rows[area][set + i];
        if (row->host[0] != '\0' && strncmp(row->host, host, sizeof(row->host)) == 0) {
            *ret_use = &cache->uses[area][set + i];
            return row;
        }
    }
    return NULL;
}

static _Atomic uint64_t *rows_counter(struct tf_domain_cache *cache, enum tf_domain_area area)
{
    struct tf_domain_page *const page = cache->config.table->page;
    return area == TF_DOMAIN_KNOWN ? &page->counts.known : &page->counts.others;
}

static void drop_row(struct tf_domain_cache *cache, enum tf_domain_area area, struct tf_domain_row *row)
{
    tf_domain_table_write(row, "", NULL);
    atomic_fetch_sub_explicit(rows_counter(cache, area), 1, memory_order_relaxed);
}

/* Its own row, a free one, or one that is given up for it: rather one that was never asked for a second time, and of
 * those alike the one that was not asked for longest. So a flood of new names pushes out itself. */
static struct tf_domain_row *room_for(struct tf_domain_cache *cache, enum tf_domain_area area, const char *host,
                                      struct use **ret_use)
{
    struct tf_domain_row *row = row_of(cache, area, host, ret_use);
    if (row != NULL)
        return row;
    uint32_t const set = tf_domain_table_set(cache->config.table, area, host);
    struct tf_domain_row *const rows = &cache->config.table->rows[area][set];
    struct use *const uses = &cache->uses[area][set];
    uint32_t best = 0;
    for (uint32_t i = 0; i < TF_DOMAIN_WAYS; i++) {
        if (rows[i].host[0] == '\0') {
            best = i;
            break;
        }
        if (uses[i].is_kept != uses[best].is_kept ? uses[best].is_kept : uses[i].asked_ns < uses[best].asked_ns)
            best = i;
    }
    if (rows[best].host[0] != '\0')
        count(&cache->config.table->page->counts.dropped);
    else
        atomic_fetch_add_explicit(rows_counter(cache, area), 1, memory_order_relaxed);
    uses[best] = (struct use){.asked_ns = 0};
    *ret_use = &uses[best];
    return &rows[best];
}

/* ---- what was found ---- */

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static void set_times(const struct tf_limits *limits, uint32_t ttl_s, uint64_t now_ns, struct tf_domain_fact *fact)
{
    bool const is_mapped = fact->verdict == TF_DOMAIN_MAPPED;
    uint64_t const seconds = is_mapped ? within(ttl_s, limits->domain_ttl_least_s, limits->domain_ttl_most_s)
                                       : within(ttl_s, 1, limits->domain_absent_s);
    uint64_t const ttl_ns = seconds * TF_NS_PER_S;
    fact->refresh_ns = now_ns + ttl_ns / 4 * 3;
    fact->stale_ns = now_ns + ttl_ns + limits->domain_stale_s * TF_NS_PER_S;
    /* A site that is served is never waited for; one that is not should show what its owner has changed. */
    fact->until_ns = is_mapped ? fact->stale_ns : now_ns + 2 * ttl_ns;
}

/* What was known before stays, and is looked up again soon. False: nothing was. */
static bool keep_stale(struct tf_domain_cache *cache, const char *host, uint64_t now_ns)
{
    uint64_t const retry_ns = cache->config.limits->domain_retry_s * TF_NS_PER_S;
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        struct use *use;
        struct tf_domain_row *const row = row_of(cache, (enum tf_domain_area)area, host, &use);
        if (row == NULL || row->verdict == TF_DOMAIN_FAILED || now_ns >= row->stale_ns)
            continue;
        struct tf_domain_fact fact = {.verdict = (enum tf_domain_verdict)row->verdict,
                                      .refresh_ns = now_ns + retry_ns,
                                      .until_ns = row->until_ns,
                                      .stale_ns = row->stale_ns};
        if (fact.until_ns < now_ns + 2 * retry_ns)
            fact.until_ns = now_ns + 2 * retry_ns;
        memcpy(fact.root.site, row->site, sizeof(row->site));
        memcpy(fact.root.path, row->path, sizeof(row->path));
        tf_domain_table_write(row, host, &fact);
        count(&cache->config.table->page->counts.stale);
        return true;
    }
    return false;
}

static void keep(struct tf_domain_cache *cache, const char *host, const struct tf_domain_found *found, uint64_t now_ns)
{
    const struct tf_limits *const limits = cache->config.limits;
    struct tf_domain_fact fact = {.verdict = found->verdict};
    if (found->verdict == TF_DOMAIN_FAILED && keep_stale(cache, host, now_ns))
        return;
    if (found->verdict == TF_DOMAIN_MAPPED)
        fact.root = found->root;
    set_times(limits, found->ttl_s, now_ns, &fact);
    if (found->verdict == TF_DOMAIN_FAILED)
        fact.refresh_ns = fact.until_ns = fact.stale_ns = now_ns + limits->domain_retry_s * TF_NS_PER_S;
    enum tf_domain_area const area = found->verdict == TF_DOMAIN_MAPPED ? TF_DOMAIN_KNOWN : TF_DOMAIN_OTHERS;
    enum tf_domain_area const other = area == TF_DOMAIN_KNOWN ? TF_DOMAIN_OTHERS : TF_DOMAIN_KNOWN;
    struct use *use, *former_use;
    /* A second look-up of a row that is there: somebody asked again. */
    bool const is_again = row_of(cache, area, host, &use) != NULL;
    struct tf_domain_row *const row = room_for(cache, area, host, &use);
    use->is_kept |= is_again;
    use->asked_ns = now_ns;
    tf_domain_table_write(row, host, &fact);
    struct tf_domain_row *const former = row_of(cache, other, host, &former_use);
    if (former != NULL)
        drop_row(cache, other, former);
}

static void count_found(struct tf_domain_cache *cache, enum tf_domain_verdict verdict)
{
    struct tf_domain_page *const page = cache->config.table->page;
    count(verdict == TF_DOMAIN_MAPPED   ? &page->counts.mapped
          : verdict == TF_DOMAIN_ABSENT ? &page->counts.absent
          : verdict == TF_DOMAIN_FAILED ? &page->counts.failed
                                        : &page->counts.wrong);
}

void tf_domain_cache_found(struct tf_domain_cache *cache, const char *host, const struct tf_domain_found *found,
                           uint64_t now_ns)
{
    struct lookup **const at = place_of(cache, host);
    struct lookup *const lookup = *at;
    if (lookup == NULL)
        return;
    *at = lookup->next;
    cache->looking--;
    atomic_store_explicit(&cache->config.table->page->counts.looking, cache->looking, memory_order_relaxed);
    count_found(cache, found->verdict);
    keep(cache, lookup->host, found, now_ns);
    for (uint32_t i = 0; i < cache->config.askers; i++) {
        if (lookup->tickets[i] != 0)
            cache->config.answer(cache->config.context, i, lookup->tickets[i], false);
    }
    free(lookup);
}

/* ---- questions ---- */

/* Whether a row is fresh enough to be the answer; one of use is noted. */
static bool is_known(struct tf_domain_cache *cache, const char *host, uint64_t now_ns, bool *ret_is_refresh)
{
    *ret_is_refresh = false;
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        struct use *use;
        const struct tf_domain_row *const row = row_of(cache, (enum tf_domain_area)area, host, &use);
        if (row == NULL)
            continue;
        if (now_ns < row->refresh_ns) {
            use->asked_ns = now_ns;
            return true;
        }
        *ret_is_refresh = row->verdict == TF_DOMAIN_MAPPED;
    }
    return false;
}

/* Workers need not ask meanwhile: in a flood of names a question that is refused costs more than the refusal. */
static void tell_full(struct tf_domain_cache *cache, uint64_t until_ns)
{
    atomic_store_explicit(&cache->config.table->page->full_until_ns, until_ns, memory_order_relaxed);
}

/* A refresh may take the last quarter of what is allowed at once; a flood of names may not. */
static bool may_look_up(struct tf_domain_cache *cache, bool is_refresh, uint64_t now_ns)
{
    uint64_t const most = cache->config.limits->domain_lookups;
    struct budget *const fresh = &cache->fresh;
    if (is_refresh)
        return cache->looking < most && take_token(&cache->refreshes, now_ns);
    if (cache->looking >= most - most / 4) {
        tell_full(cache, now_ns + FULL_NS);
        return false;
    }
    bool const may = take_token(fresh, now_ns);
    if (fresh->scaled < TF_NS_PER_S)
        tell_full(cache, now_ns + (TF_NS_PER_S - fresh->scaled + fresh->rate - 1) / fresh->rate);
    return may;
}

static struct lookup *begin(struct tf_domain_cache *cache, const char *host, struct lookup **at)
{
    struct lookup *const lookup = calloc(1, sizeof(*lookup) + cache->config.askers * sizeof(lookup->tickets[0]));
    if (lookup == NULL)
        return NULL;
    memcpy(lookup->host, host, strlen(host) + 1);
    if (!cache->config.look_up(cache->config.context, lookup->host)) {
        free(lookup);
        return NULL;
    }
    *at = lookup;
    cache->looking++;
    atomic_store_explicit(&cache->config.table->page->counts.looking, cache->looking, memory_order_relaxed);
    count(&cache->config.table->page->counts.looked_up);
    return lookup;
}

void tf_domain_cache_ask(struct tf_domain_cache *cache, const char *host, uint32_t asker, uint64_t ticket,
                         uint64_t now_ns)
{
    const struct tf_domain_cache_config *const config = &cache->config;
    char name[TF_SITE_NAME_BYTES];
    size_t const length = strlen(host);
    bool is_refresh;
    count(&config->table->page->counts.asked);
    if (asker >= config->askers || ticket == 0)
        return;
    /* A worker runs tenants' code: what it says is a stranger's host until it is found to be one in its only form. */
    if (!tf_site_from_authority(host, length, name) || strcmp(name, host) != 0 || !tf_domain_may_ask(host)) {
        config->answer(config->context, asker, ticket, true);
        return;
    }
    if (is_known(cache, host, now_ns, &is_refresh)) {
        config->answer(config->context, asker, ticket, false);
        return;
    }
    struct lookup **const at = place_of(cache, host);
    struct lookup *lookup = *at;
    if (lookup == NULL)
        lookup = may_look_up(cache, is_refresh, now_ns) ? begin(cache, host, at) : NULL;
    if (lookup == NULL || lookup->tickets[asker] != 0) {
        count(&config->table->page->counts.refused);
        config->answer(config->context, asker, ticket, true);
        return;
    }
    lookup->tickets[asker] = ticket;
}

void tf_domain_cache_forget(struct tf_domain_cache *cache, uint32_t asker)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct lookup *lookup = cache->buckets[i]; lookup != NULL && asker < cache->config.askers;
             lookup = lookup->next)
            lookup->tickets[asker] = 0;
    }
}

/* ---- making one ---- */

/* A predecessor's rows are believed; how often they were asked for it took along. */
static void take_over(struct tf_domain_cache *cache)
{
    struct tf_domain_table *const table = cache->config.table;
    tf_domain_table_mend(table);
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        uint64_t rows = 0;
        for (uint32_t i = 0; i < table->sets[area] * TF_DOMAIN_WAYS; i++)
            rows += table->rows[area][i].host[0] != '\0';
        atomic_store(rows_counter(cache, (enum tf_domain_area)area), rows);
    }
    atomic_store(&table->page->counts.looking, 0);
    atomic_store(&table->page->full_until_ns, 0);
}

int tf_domain_cache_create(const struct tf_domain_cache_config *config, struct tf_domain_cache **ret_cache,
                           struct tf_error *error)
{
    struct tf_domain_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return tf_error_system(error, "no memory for domains");
    cache->config = *config;
    uint64_t const rate = config->limits->domain_queries_s;
    cache->fresh = cache->refreshes = (struct budget){.rate = rate, .scaled = 2 * rate * TF_NS_PER_S};
    for (int area = 0; area < TF_DOMAIN_AREA_COUNT; area++) {
        cache->uses[area] = calloc((size_t)config->table->sets[area] * TF_DOMAIN_WAYS, sizeof(struct use));
        if (cache->uses[area] == NULL) {
            tf_domain_cache_destroy(&cache);
            return tf_error_system(error, "no memory for domains");
        }
    }
    take_over(cache);
    *ret_cache = cache;
    return 0;
}

void tf_domain_cache_destroy(struct tf_domain_cache **cache_pointer)
{
    struct tf_domain_cache *const cache = *cache_pointer;
    *cache_pointer = NULL;
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (cache->buckets[i] != NULL) {
            struct lookup *const lookup = cache->buckets[i];
            cache->buckets[i] = lookup->next;
            free(lookup);
        }
    }
    free(cache->uses[TF_DOMAIN_KNOWN]);
    free(cache->uses[TF_DOMAIN_OTHERS]);
    free(cache);
}
