/*
 * Everything a stranger can make grow, in one table: name, default, least, most, unit, what it bounds.
 *
 * The name is the field of `struct tf_limits` and, under `limits:`, the key in the configuration file. The parser, the
 * documentation and `terrafirma inspect` are made from these rows. A value outside [least, most] is refused at start.
 */
#ifndef TERRAFIRMA_LIMITS_H
#define TERRAFIRMA_LIMITS_H

#include <stdint.h>

#define TF_WASM_PAGE_BYTES 65536u
#define TF_HOST_PAGE_BYTES 4096u

/* clang-format off */
#define TF_LIMIT_ROWS(X)                                                                                          \
    /* the module, checked at build */                                                                            \
    X(module_bytes,          33554432, 8,     268435456,  "bytes",    "size of an uploaded module")               \
    X(module_types,             10000, 1,        100000,  "entries",  "types a module may declare")               \
    X(module_functions,        100000, 1,       1000000,  "entries",  "functions a module may declare")           \
    X(module_imports,             256, 1,         10000,  "entries",  "imports a module may declare")             \
    X(module_exports,          100000, 1,       1000000,  "entries",  "exports a module may declare")             \
    X(module_globals,           10000, 0,         30000,  "entries",  "globals a module may declare")             \
    X(module_tables,                4, 0,            64,  "entries",  "tables a module may declare")              \
    X(module_elements,          10000, 0,       1000000,  "entries",  "element segments a module may declare")    \
    X(module_element_items,   1000000, 0,      10000000,  "entries",  "items of all element segments together")   \
    X(module_data,             100000, 0,       1000000,  "entries",  "data segments a module may declare")       \
    X(function_bytes,          262144, 16,     16777216,  "bytes",    "size of one function body")                \
    X(function_locals,           4096, 1,         50000,  "entries",  "parameters and locals of one function")    \
    X(function_params,            255, 0,          1000,  "entries",  "parameters of one function type")          \
    X(function_results,            16, 0,          1000,  "entries",  "results of one function type")             \
    X(function_nesting,          1024, 1,         10000,  "levels",   "nested blocks in one function")            \
    X(table_entries,            65536, 1,       1000000,  "entries",  "entries of one table, now or grown")       \
    X(instance_bytes,          262144, 1024,    1048576,  "bytes",    "globals and bookkeeping of one instance")  \
    X(stack_frame_bytes,        65536, 1024,     262144,  "bytes",    "native stack frame of one function")       \
    /* the compiler */                                                                                            \
    X(build_cpu_seconds,          120, 1,          3600,  "seconds",  "CPU time of one tool in one build")        \
    X(build_wall_seconds,         300, 1,          7200,  "seconds",  "wall time of one build")                   \
    X(build_memory_bytes,  4294967296, 268435456, 68719476736, "bytes", "address space of one tool in one build") \
    X(build_file_bytes,    1073741824, 1048576, 8589934592, "bytes",  "size of one file that a build writes")     \
    X(build_processes,            128, 8,          4096,  "entries",  "processes of one build")                  \
    X(first_build_ms,             100, 0,        600000,  "ms",       "estimated optimised build that is not preceded by a fast one") \
    X(optimise_cpu_seconds,       900, 1,          7200,  "seconds",  "CPU time of one optimised build behind a fast one") \
    X(optimise_wall_seconds,     3600, 1,         86400,  "seconds",  "wall time of one optimised build behind a fast one") \
    X(optimise_memory_bytes, 1610612736, 268435456, 68719476736, "bytes", "address space of one tool in such a build") \
    X(optimise_site_cpu_seconds, 1800, 1,         86400,  "seconds",  "CPU time of one site's such builds in an hour") \
    /* the cache */                                                                                               \
    X(cache_bytes,        10737418240, 0, 1125899906842624, "bytes",  "artifacts in the cache, before the longest unused go; 0: any number") \
    X(cache_unused_s,         2592000, 0,     315360000,  "seconds",  "artifact that nobody uses, before it goes; 0: never") \
    X(cache_grace_s,             3600, 0,      31536000,  "seconds",  "artifact that was used just now, which stays in any case") \
    /* a synced folder; what lies beyond is not served, and the builder says so */                                \
    X(root_sites,               10000, 1,        100000,  "entries",  "sites of a root")                          \
    X(site_functions,           10000, 1,       1000000,  "entries",  "functions of one site")                    \
    X(site_folders,             10000, 1,       1000000,  "entries",  "folders of one site")                      \
    X(site_depth,                  32, 1,            64,  "levels",   "folders inside one another in a site")     \
    X(site_patterns,              256, 0,          1024,  "entries",  "functions of one site that are found by paths with parameters") \
    X(config_bytes,            262144, 0,      16777216,  "bytes",    "a site's .kbp_config")                      \
    X(config_users,              1000, 0,        100000,  "entries",  "users in a .kbp_config")                    \
    X(config_rules,              1000, 0,        100000,  "entries",  "paths in a .kbp_config")                    \
    X(config_bcrypt_cost,          12, 4,            20,  "powers of 2", "bcrypt cost of a password in a .kbp_config") \
    X(settings_bytes,           16384, 64,      262144,   "bytes",    "settings file of one function")            \
    X(site_domains,              1000, 0,        100000,  "entries",  "entries of a site's list of domains")      \
    X(root_mappings,           100000, 0,       1000000,  "entries",  "hosts that the operator maps")             \
    /* a request */                                                                                               \
    X(memory_pages,              2048, 1,         65536,  "pages of 64 KiB", "linear memory of one instance")     \
    X(guest_stack_bytes,       524288, 131072,  8388608,  "bytes",    "native stack of one guest")                \
    X(cpu_ms,                    1000, 1,        600000,  "ms",       "CPU time of one request")                  \
    X(wall_ms,                   5000, 1,       3600000,  "ms",       "wall time of one request")                 \
    X(request_body_bytes,    16777216, 0,      33554431,  "bytes",    "request body")                             \
    X(response_body_bytes,   16777216, 0,    1073741824,  "bytes",    "response body")                            \
    X(response_headers,           100, 0,          1000,  "entries",  "response header lines")                    \
    X(response_header_bytes,    65536, 0,       1048576,  "bytes",    "response header names and values together")\
    X(scratch_bytes,         33554432, 0,    1073741824,  "bytes",    "files that one request holds in memory")       \
    X(descriptors,                256, 16,        65536,  "entries",  "files that one request has open")            \
    X(log_bytes,                65536, 0,      16777216,  "bytes",    "debug and panic text of one request")      \
    /* what functions ask of services: outbound HTTP, DNS and the like */                                         \
    X(request_calls,               64, 1,         10000,  "entries",  "calls of services that one request has under way, or keeps the answers of") \
    X(request_call_bytes,    67108864, 65536, 4294967296, "bytes",    "what the calls of one request hold: messages not yet sent, answers") \
    X(site_calls,                1024, 1,         32768,  "entries",  "calls of one site in one worker")          \
    X(site_call_bytes,      268435456, 65536, 68719476736, "bytes",   "what the calls of one site hold in one worker") \
    X(calls,                     8192, 1,         32768,  "entries",  "calls of one worker")                      \
    X(call_bytes,          1073741824, 65536, 1099511627776, "bytes", "what the calls of one worker hold")        \
    /* outbound HTTP and DNS */                                                                                   \
    X(outbound_requests,           32, 0,          1000,  "entries",  "outbound HTTP requests of one request")    \
    X(outbound_body_bytes,   16777216, 0,      33554432,  "bytes",    "body of an outbound request, and of its response when decoded") \
    X(outbound_headers,           200, 0,          2000,  "entries",  "header lines of an outbound request, and of its response") \
    X(outbound_header_bytes,    65536, 0,       1048576,  "bytes",    "header names and values of the same")      \
    X(outbound_redirects,          10, 0,            50,  "entries",  "redirects that an outbound request follows") \
    X(outbound_connect_ms,       3000, 10,        60000,  "ms",       "making one outbound connection, TLS included") \
    X(outbound_ms,              30000, 10,      3600000,  "ms",       "one outbound request, redirects included") \
    X(outbound_concurrency,      4096, 2,         32768,  "entries",  "outbound requests and queries of all sites at once") \
    X(outbound_site_concurrency,  256, 1,         32768,  "entries",  "outbound requests and queries of one site at once") \
    X(outbound_memory_bytes, 1073741824, 67108864, 1099511627776, "bytes", "messages, bodies and answers that the outbound service holds") \
    X(outbound_site_memory_bytes, 268435456, 67108864, 1099511627776, "bytes", "messages of one site that it holds") \
    X(dns_queries,                 32, 0,          1000,  "entries",  "DNS queries of one request")               \
    X(dns_ms,                    2000, 10,        60000,  "ms",       "one try of one resolver")                  \
    /* the key-value store (terrafirma/kv.h): a namespace for each site */                                        \
    X(kv_key_bytes,               503, 1,           503,  "bytes",    "one key")                                  \
    X(kv_value_bytes,         1048576, 0,      16777216,  "bytes",    "one value")                                \
    X(kv_site_keys,            100000, 0,    1000000000,  "entries",  "keys of one site")                         \
    X(kv_site_bytes,         67108864, 0, 1099511627776,  "bytes",    "keys and values of one site together")     \
    X(kv_bytes,           17179869184, 1048576, 70368744177664, "bytes", "the store's file")                      \
    X(kv_cache_bytes,        67108864, 0, 1099511627776,  "bytes",    "values that one worker remembers")         \
    /* static files */                                                                                            \
    X(listing_entries,           1000, 1,        100000,  "entries",  "files in one listing of a folder")         \
    X(compressed_bytes,       1048576, 0,      16777216,  "bytes",    "file that is compressed as it is asked for") \
    X(compressed_cache_bytes, 67108864, 0, 1099511627776, "bytes",    "compressed files that one worker remembers") \
    /* domains that lead to a folder by their DNS records (docs/sites.md) */                                       \
    X(domains,                  16384, 8,       1000000,  "entries",  "domains that are known to lead to a folder") \
    X(domains_absent,            4096, 8,       1000000,  "entries",  "domains that are known to lead nowhere")   \
    X(domain_ttl_least_s,          10, 1,         86400,  "seconds",  "what a domain's records count at least")   \
    X(domain_ttl_most_s,         3600, 1,        604800,  "seconds",  "what they count at most")                  \
    X(domain_absent_s,             30, 1,          3600,  "seconds",  "what it counts at most that there are none") \
    X(domain_stale_s,           86400, 0,       2592000,  "seconds",  "what they count beyond that, while they cannot be looked up") \
    X(domain_retry_s,               5, 1,          3600,  "seconds",  "before a look-up that failed is tried again") \
    X(domain_lookups,             256, 4,          4096,  "entries",  "domains that are looked up at once")       \
    X(domain_queries_s,           200, 1,        100000,  "per second", "look-ups of unknown domains, and as many of known ones") \
    X(domain_lookup_ms,          3000, 50,        60000,  "ms",       "one look-up, all its tries included")      \
    X(domain_wait_ms,            4000, 0,         60000,  "ms",       "request that waits for a look-up")         \
    X(domain_waiters,             512, 0,        100000,  "entries",  "requests of one worker that wait for one") \
    /* a worker */                                                                                                \
    X(slots,                      512, 1,         16000,  "entries",  "instances in one worker, running or warm") \
    X(functions_loaded,          8192, 1,       1000000,  "entries",  "functions that one worker has loaded; of those beyond, what was idle longest goes") \
    X(loaded_bytes,       1073741824, 1048576, 1099511627776, "bytes",  "tables, constants and names of the functions that one worker has loaded; beyond it the same") \
    X(warm_functions,             256, 0,           256,  "entries",  "functions that a worker loads as it starts, of those used last; 0: none") \
    X(warm_ms,                  10000, 0,        600000,  "ms",       "how long after its start it loads such") \
    X(worker_memory_bytes, 4294967296, 1048576, 1099511627776, "bytes", "memory of functions in one worker, running or warm") \
    X(site_memory_bytes, 2147483648, 65536, 1099511627776, "bytes", "memory of one site's running requests and unsent answers in one worker") \
    X(image_bytes,         2147483648, 134217728, 1099511627776, "bytes", "start images of the functions that one worker has loaded") \
    X(password_checks,             64, 1,         10000,  "entries",  "passwords that wait to be checked by one worker") \
    X(site_password_checks,        16, 1,         10000,  "entries",  "of these, of one site")                    \
    X(client_password_checks,       4, 1,         10000,  "entries",  "of these, from one client address")        \
    X(password_memory_s,           60, 1,          3600,  "seconds",  "how long a worker remembers that a password was right") \
    X(connections,              10000, 1,       1000000,  "entries",  "client connections of one worker")         \
    X(function_concurrency,       256, 1,         16000,  "entries",  "requests of one function in one worker at once") \
    X(site_concurrency,           256, 1,         16000,  "entries",  "requests of one site in one worker at once") \
    X(queue_length,              1024, 0,       1000000,  "entries",  "requests of one worker that wait for a slot or a load") \
    X(handshake_ms,             10000, 100,     3600000,  "ms",       "TLS handshake of a client")                   \
    X(tls_wait_ms,             20000, 0,        600000,  "ms",       "handshake that waits for its host's first certificate; 0: none waits") \
    X(tls_waiters,              1024, 0,        100000,  "entries",  "handshakes of one worker that wait for one") \
    X(tls_host_waiters,          128, 0,        100000,  "entries",  "of these, for one host")                    \
    X(tls_certificates,         20000, 1,        100000,  "entries",  "hosts that certificates are kept of")       \
    X(tls_parsed,                4096, 16,       100000,  "entries",  "certificates that one worker keeps ready")  \
    X(idle_ms,                  10000, 100,     3600000,  "ms",       "reading one request, and idling between two") \
    X(send_ms,                   5000, 100,     3600000,  "ms",       "client that takes no byte of a response")  \
    X(hang_s,                   10, 2,         86400,  "seconds",  "event loop of a worker that stands still, before it is killed") \
    X(stop_ms,                  10000, 0,        600000,  "ms",       "graceful stop, before what is left is dropped")
/* clang-format on */

struct tf_limits {
#define X(name, initial, least, most, unit, what) uint64_t name;
    TF_LIMIT_ROWS(X)
#undef X
};

#define TF_LIMITS_DEFAULT                                                                          \
    {                                                                                              \
        TF_LIMIT_ROWS(TF_LIMIT_DEFAULT_)                                                           \
    }
#define TF_LIMIT_DEFAULT_(name, initial, least, most, unit, what) .name = initial,

#define X(name, initial, least, most, unit, what)                                                  \
    _Static_assert((least) <= (initial) && (initial) <= (most), "limit " #name);
TF_LIMIT_ROWS(X)
#undef X

#endif
