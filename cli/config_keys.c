/* The table of keys, and how one is found in it. */
#include <string.h>

#include "cli/config_internal.h"
#include "services/egress.h"
#include "sites/routes.h"

/* clang-format off */
#define TOP(key, of_kind, first, low, high, in, text, words) \
    {.section = "", .name = #key, .kind = of_kind, .offset = offsetof(struct tf_config, key), .initial = first, \
     .least = low, .most = high, .unit = in, .initial_text = text, .what = words}
#define SUB(in_section, key, of_kind, first, low, high, in, text, words) \
    {.section = in_section, .name = #key, .kind = of_kind, .offset = offsetof(struct tf_config, key), \
     .initial = first, .least = low, .most = high, .unit = in, .initial_text = text, .what = words}
#define IN(in_section, key, of_kind, first, low, high, in, text, words) \
    {.section = #in_section, .name = #key, .kind = of_kind, .offset = offsetof(struct tf_config, in_section.key), \
     .initial = first, .least = low, .most = high, .unit = in, .initial_text = text, .what = words}

#define CHOICE(in_section, key, text, first, second, third, words) \
    {.section = in_section, .name = #key, .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, tls.key), \
     .initial_text = text, .unit = "", .choices = {first, second, third}, .what = words}

#define EITHER(in_section, key, first, second, words) \
    {.section = #in_section, .name = #key, .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, in_section.key), \
     .initial_text = first, .unit = "", .choices = {first, second}, .what = words}

static struct tf_key keys[] = {
    TOP(root, TF_KEY_TEXT, 0, 0, 0, "", "none", "the synced folder; each folder in it is a site"),
    TOP(cache, TF_KEY_TEXT, 0, 0, 0, "", "see below", "where compiled functions are kept"),
    {.section = "", .name = "listen", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, listen),
     .count_offset = offsetof(struct tf_config, listen_count), .most = TF_CONFIG_LISTEN_MAX, .unit = "addresses",
     .initial_text = TF_CONFIG_LISTEN_DEFAULT, .what = "HOST:PORT to serve on, at most 16"},
    {.section = "", .name = "listen_tls", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, listen_tls),
     .count_offset = offsetof(struct tf_config, listen_tls_count), .most = TF_CONFIG_LISTEN_MAX, .unit = "addresses",
     .initial_text = "none", .what = "HOST:PORT to serve HTTPS on, at most 16"},
    TOP(workers, TF_KEY_NUMBER, 0, 1, TF_WORKERS_MAX, "processes", "one per CPU", "worker processes"),
    TOP(user, TF_KEY_TEXT, 0, 0, 0, "", "stay root", "whom workers and builder become when started as root"),
    TOP(slice_us, TF_KEY_NUMBER, 1000, 100, 1000000, "us", NULL, "one turn of a function that computes; half of it while other requests come"),
    SUB("toolchain", wabt_prefix, TF_KEY_TEXT, 0, 0, 0, "", "what scripts/install-deps made", "folder that holds bin/wasm2c"),
    SUB("toolchain", cc, TF_KEY_TEXT, 0, 0, 0, "", "gcc", "C compiler: gcc, clang, or a path below /usr"),
    SUB("toolchain", fast_cc, TF_KEY_TEXT, 0, 0, 0, "", "clang, where there is one", "C compiler of the fast tier"),
    {.section = "toolchain", .name = "tiers", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, tiers),
     .initial_text = "both", .unit = "", .choices = {"both", "fast", "optimised"}, .what = "which tiers a function goes through"},
    SUB("toolchain", cpu_level, TF_KEY_NUMBER, 2, 2, 4, "x86-64-vN", NULL, "what compiled functions may use"),
    {.section = "toolchain", .name = "profile", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, profile),
     .initial_text = "fast", .unit = "", .choices = {"fast", "strict"}, .what = "how literally the specification is taken"},
    SUB("watcher", jobs, TF_KEY_NUMBER, 0, 1, 1024, "builds", "one per CPU", "builds at the same time"),
    SUB("watcher", settle_ms, TF_KEY_NUMBER, 200, 10, 60000, "ms", NULL, "unchanged this long, a file that nobody was seen closing is built"),
    SUB("watcher", rescan_s, TF_KEY_NUMBER, 60, 1, 86400, "s", NULL, "between two looks at everything"),
    {.section = "watcher", .name = "poll", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, poll),
     .initial_text = "auto", .unit = "", .choices = {"auto", "always", "never"}, .what = "which folders are looked at without an event"},
    SUB("watcher", poll_ms, TF_KEY_NUMBER, 1000, 50, 3600000, "ms", NULL, "between two looks at such folders"),
    {.section = "watcher", .name = "reports", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, writes_reports),
     .initial_text = "no", .unit = "", .choices = {"no", "yes"}, .what = "write hello.wasm.txt beside hello.wasm, where the folder takes it"},
    {.section = "watcher", .name = "builds", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, builds_nothing),
     .initial_text = "yes", .unit = "", .choices = {"yes", "no"}, .what = "whether what the cache lacks is compiled"},
    IN(users, worker, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom workers become"),
    IN(users, builder, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the builder becomes; the cache is this user's"),
    IN(users, logs, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the log service becomes; the logs are this user's"),
    IN(users, outbound, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the outbound service becomes"),
    IN(users, kv, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the key-value service becomes; the store is this user's"),
    IN(users, domains, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the domain service becomes"),
    IN(users, certificates, TF_KEY_TEXT, 0, 0, 0, "", "as `user`", "whom the certificate service becomes; keys are this user's"),
    IN(logs, log_folder, TF_KEY_TEXT, 0, 0, 0, "", "see below", "where logs are written"),
    {.section = "logs", .name = "access_format", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, logs.access_format),
     .initial_text = "json", .unit = "", .choices = {"json", "combined", "off"}, .what = "form of the access log"},
    {.section = "logs", .name = "address", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, logs.address),
     .initial_text = "whole", .unit = "", .choices = {"whole", "network", "none"}, .what = "how much of a client's address is logged"},
    {.section = "logs", .name = "leave_out_query", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, logs.leave_out_query),
     .initial_text = "no", .unit = "", .choices = {"no", "yes"}, .what = "log paths and referers without their queries"},
    IN(logs, access_bytes, TF_KEY_NUMBER, 64u << 20, 131072, 1ull << 40, "bytes", NULL, "size of one file of the access log"),
    IN(logs, access_kept, TF_KEY_NUMBER, 5, 0, 1000, "files", NULL, "older files of the access log"),
    IN(logs, function_bytes, TF_KEY_NUMBER, 1u << 20, 32768, 1ull << 40, "bytes", NULL, "size of one file of a function's log"),
    IN(logs, function_kept, TF_KEY_NUMBER, 1, 0, 1000, "files", NULL, "older files of a function's log"),
    IN(logs, function_rate_bytes, TF_KEY_NUMBER, 16u << 10, 1, 1u << 30, "bytes", NULL, "what a function may log in a second"),
    IN(logs, function_burst_bytes, TF_KEY_NUMBER, 256u << 10, 32768, 1u << 30, "bytes", NULL, "what a function may log at once"),
    IN(logs, functions_open, TF_KEY_NUMBER, 128, 1, 100000, "files", NULL, "functions' logs that are open at once"),
    IN(logs, functions_known, TF_KEY_NUMBER, 4096, 1, 1000000, "entries", NULL, "functions whose rate is remembered"),
    IN(logs, functions_bytes, TF_KEY_NUMBER, 1ull << 30, 32768, 1ull << 50, "bytes", NULL, "size of all functions' logs"),
    IN(logs, functions_files, TF_KEY_NUMBER, 20000, 1, 10000000, "files", NULL, "number of all functions' logs"),
    IN(logs, sites, TF_KEY_NUMBER, 10000, 0, 100000, "entries", NULL, "sites with counters of their own"),
    IN(quarantine, deaths, TF_KEY_NUMBER, 3, 1, 16, "deaths", NULL, "workers that a function may end before it is stopped"),
    IN(quarantine, window_s, TF_KEY_NUMBER, 60, 1, 86400, "s", NULL, "within this time"),
    IN(quarantine, first_s, TF_KEY_NUMBER, 600, 1, 86400, "s", NULL, "how long it is stopped for, the first time"),
    IN(quarantine, most_s, TF_KEY_NUMBER, 86400, 1, 31536000, "s", NULL, "how long at most; each time doubles it"),
    {.section = "outbound", .name = "enabled", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, outbound.is_off),
     .initial_text = "yes", .unit = "", .choices = {"yes", "no"}, .what = "whether functions may reach the network at all"},
    {.section = "outbound", .name = "rules", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, outbound.rules),
     .count_offset = offsetof(struct tf_config, outbound.rule_count), .most = TF_OUTBOUND_RULES_MAX, .unit = "rules",
     .initial_text = "none", .check = tf_egress_check_rule, .what = "where functions may connect to, at most 256; see below"},
    {.section = "outbound", .name = "resolvers", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, outbound.resolvers),
     .count_offset = offsetof(struct tf_config, outbound.resolver_count), .most = TF_OUTBOUND_RESOLVERS_MAX,
     .unit = "resolvers", .initial_text = "/etc/resolv.conf's", .check = tf_outbound_check_resolver,
     .what = "ADDRESS or ADDRESS:PORT to ask for names, at most 8"},
    IN(outbound, ca_file, TF_KEY_TEXT, 0, 0, 0, "", "the system's", "certificates of authorities that are trusted"),
    SUB("functions", secrets, TF_KEY_TEXT, 0, 0, 0, "", "none", "file of secrets that functions may ask for by name; see below"),
    {.section = "functions", .name = "site_files", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, no_site_files),
     .initial_text = "yes", .unit = "", .choices = {"yes", "no"}, .what = "whether functions may read their site's files, where their settings say so"},
    {.section = "kv", .name = "folder", .kind = TF_KEY_TEXT, .offset = offsetof(struct tf_config, kv_folder),
     .initial_text = "see below", .what = "where functions' keys and values are kept"},
    {.section = "trust", .name = "folder", .kind = TF_KEY_TEXT, .offset = offsetof(struct tf_config, trust_folder),
     .initial_text = "`trust` in the cache", .what = "the key that signs compiled functions, and whose signatures count"},
    TF_CONFIG_REGISTRY_ROWS(IN, EITHER)
    {.section = "domains", .name = "dns", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, domains.is_off),
     .initial_text = "yes", .unit = "", .choices = {"yes", "no"}, .what = "whether a domain's records may lead to a folder"},
    {.section = "domains", .name = "proof", .kind = TF_KEY_CHOICE, .offset = offsetof(struct tf_config, domains.proof),
     .initial_text = "listed", .unit = "", .choices = {"listed", "required", "off"}, .what = "whether the folder has to list the domain; see below"},
    {.section = "domains", .name = "map", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, domains.mappings),
     .count_offset = offsetof(struct tf_config, domains.mapping_count), .most = TF_CONFIG_MAPPINGS_MAX, .unit = "mappings",
     .initial_text = "none", .check = tf_config_check_mapping, .what = "HOST FOLDER: which folder a host means, at most 256"},
    IN(domains, map_file, TF_KEY_TEXT, 0, 0, 0, "", "none", "file of more such lines; read again when it changes"),
    {.section = "domains", .name = "resolvers", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, domains.resolvers),
     .count_offset = offsetof(struct tf_config, domains.resolver_count), .most = TF_OUTBOUND_RESOLVERS_MAX,
     .unit = "resolvers", .initial_text = "outbound.resolvers", .check = tf_outbound_check_resolver,
     .what = "ADDRESS or ADDRESS:PORT to ask for domains' records, at most 8"},
    {.section = "domains", .name = "deny", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, domains.deny),
     .count_offset = offsetof(struct tf_config, domains.deny_count), .most = TF_CONFIG_DOMAIN_LIST_MAX, .unit = "domains",
     .initial_text = "none", .check = tf_config_check_domain, .what = "domains that are not looked up, with all below them, at most 256"},
    {.section = "domains", .name = "allow", .kind = TF_KEY_LIST, .offset = offsetof(struct tf_config, domains.allow),
     .count_offset = offsetof(struct tf_config, domains.allow_count), .most = TF_CONFIG_DOMAIN_LIST_MAX, .unit = "domains",
     .initial_text = "all", .check = tf_config_check_domain, .what = "the only ones that are: a domain, or *. and one for those below it, at most 256"},
    TF_CONFIG_TLS_ROWS(IN, CHOICE)
#define X(key, first, low, high, in, words) \
    {.section = "limits", .name = #key, .kind = TF_KEY_NUMBER, .offset = offsetof(struct tf_config, limits.key), \
     .initial = first, .least = low, .most = high, .unit = in, .what = words},
    TF_LIMIT_ROWS(X)
#undef X
};
/* clang-format on */

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

const struct tf_key *tf_config_keys(size_t *ret_count)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].kind == TF_KEY_NUMBER && strcmp(keys[i].unit, "bytes") == 0)
            keys[i].kind = TF_KEY_BYTES;
    }
    *ret_count = KEY_COUNT;
    return keys;
}

/* ---- names ---- */

/* Edit distance, capped: for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t const length_a = strlen(a), length_b = strlen(b);
    size_t row[64];
    if (length_a >= 64 || length_b >= 64)
        return 64;
    for (size_t j = 0; j <= length_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length_b];
}

const struct tf_key *tf_config_find(const char *section, const char *name)
{
    size_t count;
    const struct tf_key *table = tf_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].section, section) == 0 && strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

const char *tf_config_nearest(const char *section, const char *name)
{
    size_t count, best = 4;
    const struct tf_key *table = tf_config_keys(&count);
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t const d = strcmp(table[i].section, section) == 0 ? distance(table[i].name, name) : best;
        if (d < best) {
            best = d;
            nearest = table[i].name;
        }
    }
    return nearest;
}
