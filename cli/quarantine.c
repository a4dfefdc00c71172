#include "cli/quarantine.h"

#include <string.h>

#include "base/clock.h"
#include "services/log_decode.h"

void tf_quarantine_init(struct tf_quarantine *quarantine, const struct tf_config_quarantine *config,
                        struct tf_shared_quarantine *shared)
{
    *quarantine = (struct tf_quarantine){.config = *config, .shared = shared};
    for (uint32_t i = 0; i < TF_SUSPECTS; i++)
        atomic_store(&shared->rows[i].mark, 0);
    atomic_store(&shared->used, 0);
}

bool tf_quarantine_culprit(const struct tf_shared_running *running, struct tf_culprit *ret_culprit)
{
    /* The worker is dead, but a copy is what is judged all the same. */
    struct tf_shared_running const said = *running;
    if (said.is_running != 1)
        return false;
    struct tf_culprit culprit = {0};
    for (size_t i = 0; i < TF_RUNNING_KEY_BYTES; i++) {
        char const c = said.key[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
        culprit.key[i] = c;
    }
    struct tf_log_text const site = {said.site, said.site_length}, path = {said.path, said.path_length};
    if (site.length <= TF_RUNNING_SITE_BYTES && path.length <= TF_RUNNING_PATH_BYTES && tf_log_site_is_valid(site) &&
        tf_log_function_is_valid(path)) {
        memcpy(culprit.site, site.bytes, site.length);
        memcpy(culprit.path, path.bytes, path.length);
    }
    *ret_culprit = culprit;
    return true;
}

static uint32_t count_since(const uint64_t *times_ns, uint32_t count, uint64_t since_ns)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += times_ns[i] >= since_ns;
    return found;
}

static void note(uint64_t *times_ns, uint32_t *count, uint32_t *next, uint64_t now_ns)
{
    times_ns[*next] = now_ns;
    *next = (*next + 1) % TF_SUSPECT_DEATHS;
    *count += *count < TF_SUSPECT_DEATHS;
}

/* The suspect of a key; a new one takes the place of whoever was good for longest. NULL: all places are taken by
 * quarantined ones, which a hostile tenant's many functions may do; they end by and by. */
static struct tf_suspect *suspect_of(struct tf_quarantine *quarantine, const struct tf_culprit *culprit)
{
    struct tf_suspect *place = NULL;
    for (uint32_t i = 0; i < TF_SUSPECTS; i++) {
        struct tf_suspect *const suspect = &quarantine->suspects[i];
        if (suspect->is_used && memcmp(suspect->culprit.key, culprit->key, TF_RUNNING_KEY_BYTES) == 0) {
            suspect->culprit = *culprit;
            return suspect;
        }
        if (suspect->until_ns == 0 &&
            (place == NULL || (place->is_used && (!suspect->is_used || suspect->last_ns < place->last_ns))))
            place = suspect;
    }
    if (place != NULL)
        *place = (struct tf_suspect){.is_used = true, .culprit = *culprit};
    return place;
}

static void publish(struct tf_quarantine *quarantine, const struct tf_suspect *suspect)
{
    uint32_t const index = (uint32_t)(suspect - quarantine->suspects);
    struct tf_shared_quarantine_row *const row = &quarantine->shared->rows[index];
    atomic_store(&row->until_ns, suspect->until_ns);
    atomic_store(&row->mark, suspect->until_ns != 0 ? tf_quarantine_mark(suspect->culprit.key) : 0);
    uint32_t used = 0;
    for (uint32_t i = 0; i < TF_SUSPECTS; i++)
        used = quarantine->suspects[i].until_ns != 0 ? i + 1 : used;
    atomic_store(&quarantine->shared->used, used);
}

static void begin(struct tf_quarantine *quarantine, struct tf_suspect *suspect, uint64_t now_ns)
{
    uint64_t const most_ns = quarantine->config.most_s * TF_NS_PER_S;
    uint64_t const lasts_ns = suspect->times == 0 ? quarantine->config.first_s * TF_NS_PER_S : suspect->lasts_ns * 2;
    suspect->lasts_ns = lasts_ns < most_ns ? lasts_ns : most_ns;
    suspect->until_ns = now_ns + suspect->lasts_ns;
    suspect->times++;
    suspect->death_count = suspect->next_death = 0;
    publish(quarantine, suspect);
}

bool tf_quarantine_death(struct tf_quarantine *quarantine, const struct tf_culprit *culprit, uint64_t now_ns)
{
    if (culprit == NULL) {
        note(quarantine->idle_ns, &quarantine->idle_count, &quarantine->next_idle, now_ns);
        return false;
    }
    struct tf_suspect *const suspect = suspect_of(quarantine, culprit);
    if (suspect == NULL)
        return false;
    if (suspect->until_ns == 0 && now_ns - suspect->last_ns > 2 * suspect->lasts_ns)
        suspect->times = 0; /* last_ns is from before its quarantine: it was good for as long again */
    suspect->last_ns = now_ns;
    note(suspect->deaths_ns, &suspect->death_count, &suspect->next_death, now_ns);
    if (suspect->until_ns != 0)
        return false; /* another worker had begun to run it before */
    uint64_t const window_ns = quarantine->config.window_s * TF_NS_PER_S;
    uint64_t const since_ns = now_ns > window_ns ? now_ns - window_ns : 0;
    uint32_t const deaths = count_since(suspect->deaths_ns, suspect->death_count, since_ns);
    if (deaths < quarantine->config.deaths ||
        deaths <= count_since(quarantine->idle_ns, quarantine->idle_count, since_ns))
        return false;
    begin(quarantine, suspect, now_ns);
    return true;
}

bool tf_quarantine_tick(struct tf_quarantine *quarantine, uint64_t now_ns)
{
    bool is_any = false;
    for (uint32_t i = 0; i < TF_SUSPECTS; i++) {
        struct tf_suspect *const suspect = &quarantine->suspects[i];
        if (suspect->until_ns == 0 || suspect->until_ns > now_ns)
            continue;
        suspect->until_ns = 0;
        publish(quarantine, suspect);
        is_any = true;
    }
    return is_any;
}

uint64_t tf_quarantine_due_ns(const struct tf_quarantine *quarantine)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < TF_SUSPECTS; i++) {
        uint64_t const until_ns = quarantine->suspects[i].until_ns;
        if (until_ns != 0 && until_ns < due_ns)
            due_ns = until_ns;
    }
    return due_ns;
}
