/* The configuration: what the file may say, where each error is, and that the document tells of every key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/config.h"
#include "cli/listeners.h"
#include "tests/check.h"

#include <fcntl.h>

static int parse(const char *text, struct tf_config *config, struct tf_error *error)
{
    tf_config_init(config);
    error->text[0] = '\0';
    return tf_config_parse(config, "x.yaml", text, strlen(text), error);
}

static void defaults(void)
{
    struct tf_config config;
    struct tf_error error;
    static const char *const nothing[] = {"", "# only a comment\n", "---\n", "limits:\n", "limits: {}\n", "{}"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        CHECK_MESSAGE(parse(nothing[i], &config, &error) == TF_OK, "row %zu: %s", i, error.text);
        struct tf_limits const limits = TF_LIMITS_DEFAULT;
        CHECK(memcmp(&config.limits, &limits, sizeof(limits)) == 0);
        CHECK(config.slice_us == 1000 && config.cpu_level == 2 && config.settle_ms == 200 && config.rescan_s == 60);
        CHECK(config.root == NULL && config.listen_count == 0 && config.workers == 0 && config.jobs == 0);
        tf_config_dispose(&config);
    }
}

static void everything(void)
{
    struct tf_config config;
    struct tf_error error;
    CHECK(parse("root: /srv/root\n"
                "cache: '/srv/cache'\n"
                "listen:\n  - 127.0.0.1:80\n  - '[::1]:80'\n"
                "workers: 4\n"
                "user: www-data\n"
                "slice_us: 500\n"
                "toolchain: {wabt_prefix: /opt/w, cc: clang, cpu_level: 3, profile: strict}\n"
                "watcher:\n  jobs: 3\n  settle_ms: 100\n  rescan_s: 5\n"
                "users: {worker: w, logs: l}\n"
                "logs: {log_folder: /var/log/tf, access_format: combined, address: none, leave_out_query: 'yes',\n"
                "  access_bytes: 1M, function_rate_bytes: 5, sites: 0}\n"
                "quarantine: {deaths: 5, window_s: 7, first_s: 8, most_s: 9}\n"
                "limits:\n  module_bytes: 1M\n  memory_pages: 10\n  wall_ms: 7000\n  request_body_bytes: 8K\n"
                "  build_memory_bytes: 2G\n",
                &config, &error) == TF_OK);
    CHECK_MESSAGE(error.text[0] == '\0', "%s", error.text);
    CHECK(strcmp(config.root, "/srv/root") == 0 && strcmp(config.cache, "/srv/cache") == 0);
    CHECK(config.listen_count == 2 && strcmp(config.listen[1], "[::1]:80") == 0);
    CHECK(config.workers == 4 && strcmp(config.user, "www-data") == 0 && config.slice_us == 500);
    CHECK(strcmp(config.wabt_prefix, "/opt/w") == 0 && strcmp(config.cc, "clang") == 0);
    CHECK(config.cpu_level == 3 && config.profile == TF_PROFILE_STRICT);
    CHECK(config.jobs == 3 && config.settle_ms == 100 && config.rescan_s == 5);
    CHECK(config.limits.module_bytes == 1 << 20 && config.limits.request_body_bytes == 8192);
    CHECK(config.limits.build_memory_bytes == 2ull << 30 && config.limits.memory_pages == 10);
    CHECK(config.limits.cpu_ms == 1000); /* what is not said stays */
    struct tf_compiler_config const compiler = tf_config_compiler(&config);
    CHECK(compiler.cpu_level == 3 && compiler.limits.module_bytes == 1 << 20 && strcmp(compiler.cc, "clang") == 0);

    CHECK(strcmp(tf_config_worker_user(&config), "w") == 0 && strcmp(tf_config_logs_user(&config), "l") == 0);
    CHECK(strcmp(tf_config_builder_user(&config), "www-data") == 0);
    struct tf_logs_config const logs = tf_config_logs(&config);
    CHECK(logs.access_format == TF_LOGS_COMBINED && logs.address == TF_LOGS_ADDRESS_NONE && logs.leave_out_query);
    CHECK(logs.access_bytes == 1 << 20 && logs.function_rate_bytes == 5 && logs.sites == 0 && logs.access_kept == 5);
    CHECK(config.quarantine.deaths == 5 && config.quarantine.window_s == 7 && config.quarantine.first_s == 8);
    CHECK(tf_config_check(&config, &error) == TF_OK);

    /* What the supervisor hands to its children says the same. */
    struct tf_buffer yaml;
    struct tf_config again;
    tf_buffer_init(&yaml, 1 << 20);
    free(config.user);
    config.user = strdup("odd \"name\" \\ # : \x01");
    tf_config_write(&config, &yaml);
    tf_config_init(&again);
    CHECK_MESSAGE(tf_config_parse(&again, "handed on", yaml.bytes, yaml.length, &error) == TF_OK, "%s\n%s", error.text,
                  (char *)yaml.bytes);
    CHECK(memcmp(&again.limits, &config.limits, sizeof(again.limits)) == 0);
    CHECK(strcmp(again.user, config.user) == 0 && again.listen_count == 2 && again.profile == TF_PROFILE_STRICT);
    CHECK(memcmp(&again.quarantine, &config.quarantine, sizeof(again.quarantine)) == 0);
    CHECK(strcmp(again.logs.log_folder, "/var/log/tf") == 0 && strcmp(again.users.logs, "l") == 0);
    CHECK(again.logs.access_format == TF_LOGS_COMBINED && again.logs.leave_out_query == 1 && again.logs.sites == 0);
    CHECK(again.workers == 4 && again.jobs == 3 && again.slice_us == 500 && again.root == NULL);
    tf_buffer_dispose(&yaml);
    tf_config_dispose(&again);
    tf_config_dispose(&config);
}

static void errors_have_a_place(void)
{
    static const struct {
        const char *text, *place, *says;
    } rows[] = {
        {"rooot: x\n", "x.yaml:1:1: ", "perhaps 'root' was meant"},
        {"\nnothing_like_it: x\n", "x.yaml:2:1: ", "unknown key 'nothing_like_it'"},
        {"limits:\n  wal_ms: 5\n", "x.yaml:2:3: ", "unknown key 'wal_ms' in limits; perhaps 'wall_ms'"},
        {"limits:\n  wall_ms: 0\n", "x.yaml:2:12: ", "from 1 to 3600000 ms, default 5000"},
        {"limits:\n  wall_ms: 3600001\n", "x.yaml:2:12: ", "'3600001' is not allowed"},
        {"limits:\n  wall_ms: 5K\n", "x.yaml:2:12: ", "'5K' is not allowed"},
        {"limits: {module_bytes: 1T}\n", "x.yaml:1:24: ", "suffixes K, M, G"},
        {"limits: {module_bytes: 1MB}\n", "x.yaml:1:24: ", "'1MB' is not allowed"},
        {"limits: {module_bytes: 99999999999999999999}\n", "x.yaml:1:24: ", "is not allowed"},
        {"limits: {module_bytes: 17179869184G}\n", "x.yaml:1:24: ", "is not allowed"},
        {"workers: -1\n", "x.yaml:1:10: ", "from 1 to 256 processes, default one per CPU"},
        {"workers: 0x10\n", "x.yaml:1:10: ", "is not allowed"},
        {"workers: ' 4'\n", "x.yaml:1:10: ", "is not allowed"},
        {"workers: many\n", "x.yaml:1:10: ", "'many' is not allowed"},
        {"workers:\n", "x.yaml:1:9: ", "workers: has no value"},
        {"workers: [1]\n", "x.yaml:1:10: ", "wants a single value"},
        {"workers: 1\nslice_us: 1000\nworkers: 2\n", "x.yaml:3:1: ", "'workers' is there twice, first in line 1"},
        {"limits: {cpu_ms: 5}\nlimits: {wall_ms: 5}\n", "x.yaml:2:1: ", "twice"},
        {"limits: 5\n", "x.yaml:1:9: ", "wants keys of its own"},
        {"limits: [5]\n", "x.yaml:1:9: ", "wants keys of its own"},
        {"toolchain:\n  profile: quick\n", "x.yaml:2:12: ", "fast or strict, default fast"},
        {"logs:\n  access_format: xml\n", "x.yaml:2:18: ", "json, combined or off, default json"},
        {"logs: {leave_out_query: maybe}\n", "x.yaml:1:25: ", "no or yes, default no"},
        {"logs: {access_bytes: 1}\n", "x.yaml:1:22: ", "from 131072 to 1099511627776 bytes"},
        {"quarantine: {deaths: 17}\n", "x.yaml:1:22: ", "from 1 to 16 deaths"},
        {"users: {wroker: x}\n", "x.yaml:1:9: ", "perhaps 'worker' was meant"},
        {"toolchain: {cpu_level: 1}\n", "x.yaml:1:24: ", "from 2 to 4"},
        {"watcher: {wall_ms: 5}\n", "x.yaml:1:11: ", "unknown key 'wall_ms' in watcher"},
        {"listen: {a: b}\n", "x.yaml:1:9: ", "wants a list"},
        {"listen: [[a]]\n", "x.yaml:1:10: ", "wants a single value"},
        {"listen: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]\n", "x.yaml:1:42: ", "more than 16"},
        {"[a, b]\n", "x.yaml:1:1: ", "wants keys and values"},
        {"just text\n", "x.yaml:1:1: ", "wants keys and values"},
        {"? [a]\n: b\n", "x.yaml:1:3: ", "a key must be a plain word"},
        {"root: \"a\\0b\"\n", "x.yaml:1:7: ", "wants a single value"},
        {"<<: {workers: 1}\n", "x.yaml:1:1: ", "unknown key '<<'"},
        {"root: [a\n", "x.yaml:2:1: ", "no valid YAML"},
        {"root: 'a\n", "x.yaml:2:1: ", "no valid YAML"},
        {"a: b: c\n", "x.yaml:1:5: ", "no valid YAML"},
        {"root: *nowhere\n", "x.yaml:1:7: ", "no valid YAML"},
        {"root: \xff\n", "x.yaml:1:1: ", "no valid YAML"},
        {"workers: 1\n---\nworkers: 2\n", "x.yaml:3:1: ", "a second document"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_config config;
        struct tf_error error;
        int const result = parse(rows[i].text, &config, &error);
        CHECK_MESSAGE(result == TF_ERR_USAGE, "row %zu: %s", i, rows[i].text);
        CHECK_MESSAGE(strncmp(error.text, rows[i].place, strlen(rows[i].place)) == 0, "row %zu: %s", i, error.text);
        CHECK_MESSAGE(strstr(error.text, rows[i].says) != NULL, "row %zu: %s", i, error.text);
        tf_config_dispose(&config);
    }
}

/* A file that a stranger could make must be refused in bounded time and memory. */
static void hostile_files(void)
{
    struct tf_config config;
    struct tf_error error;
    char *text = malloc(10001);
    memset(text, '[', 10000);
    text[10000] = '\0';
    CHECK(parse(text, &config, &error) == TF_ERR_USAGE);
    tf_config_dispose(&config);
    free(text);
    CHECK(parse("root: &a [*a]\n", &config, &error) == TF_ERR_USAGE);
    tf_config_dispose(&config);
    CHECK(parse("limits: &l {wall_ms: 5, <<: *l}\n", &config, &error) == TF_ERR_USAGE);
    tf_config_dispose(&config);
}

static void single_keys(void)
{
    struct tf_config config;
    struct tf_error error;
    tf_config_init(&config);
    CHECK(tf_config_set(&config, "limits.wall_ms", "99", &error) == TF_OK && config.limits.wall_ms == 99);
    CHECK(tf_config_set(&config, "workers", "2", &error) == TF_OK && config.workers == 2);
    CHECK(tf_config_set(&config, "root", "/a", &error) == TF_OK);
    CHECK(tf_config_set(&config, "root", "/b", &error) == TF_OK);
    CHECK(strcmp(config.root, "/b") == 0);
    CHECK(tf_config_set(&config, "limits", "1", &error) == TF_ERR_USAGE);
    CHECK(tf_config_set(&config, "limits.", "1", &error) == TF_ERR_USAGE);
    CHECK(tf_config_set(&config, "limits.limits.wall_ms", "1", &error) == TF_ERR_USAGE);
    CHECK(tf_config_set(&config, "a_section_whose_name_is_quite_long_indeed.x", "1", &error) == TF_ERR_USAGE);
    CHECK(tf_config_set(&config, "wall_ms", "1", &error) == TF_ERR_USAGE);
    tf_config_dispose(&config);
}

static void addresses(void)
{
    struct tf_address address;
    struct tf_error error;
    CHECK(tf_address_parse("127.0.0.1:8080", &address, &error) == TF_OK && strcmp(address.text, "127.0.0.1:8080") == 0);
    CHECK(tf_address_parse("[::1]:80", &address, &error) == TF_OK && strcmp(address.text, "[::1]:80") == 0);
    CHECK(tf_address_parse(":80", &address, &error) == TF_OK && strcmp(address.text, "0.0.0.0:80") == 0);
    static const char *const bad[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "::1:80",
                                      "127.0.0.1:80x", "127.0.0.1:-1", "[::1]", "127.0.0.1:000080"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(tf_address_parse(bad[i], &address, &error) == TF_ERR_USAGE, "%s", bad[i]);
    /* A taken address is refused, although our own sockets share theirs. */
    int fds[2], more[1];
    CHECK(tf_address_parse("127.0.0.1:0", &address, &error) == TF_OK);
    CHECK(tf_listeners_bind(&address, 2, fds, &error) == TF_OK);
    CHECK(tf_listeners_bind(&address, 1, more, &error) == TF_ERR_BUSY);
}

static void keys_agree(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"logs: {functions_open: 200, functions_known: 100}\n", "logs.functions_known: 100 is less"},
        {"logs: {function_bytes: 1M, functions_bytes: 512K}\n", "logs.functions_bytes: 524288 is less"},
        {"quarantine: {first_s: 100, most_s: 99}\n", "quarantine.most_s: 99 is less"},
    };
    struct tf_config config;
    struct tf_error error;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK(parse(rows[i].text, &config, &error) == TF_OK);
        CHECK(tf_config_check(&config, &error) == TF_ERR_USAGE);
        CHECK_MESSAGE(strstr(error.text, rows[i].says) != NULL, "%s", error.text);
        tf_config_dispose(&config);
    }
    /* All defaults, and what the service itself makes of them, are one. */
    tf_config_init(&config);
    CHECK(tf_config_check(&config, &error) == TF_OK);
    struct tf_logs_config const logs = tf_config_logs(&config), defaults_of_service = TF_LOGS_CONFIG_DEFAULT;
    CHECK(logs.access_format == defaults_of_service.access_format && logs.address == defaults_of_service.address);
    CHECK(logs.leave_out_query == defaults_of_service.leave_out_query && logs.sites == defaults_of_service.sites);
    CHECK(logs.access_bytes == defaults_of_service.access_bytes && logs.access_kept == defaults_of_service.access_kept);
    CHECK(logs.function_bytes == defaults_of_service.function_bytes);
    CHECK(logs.function_kept == defaults_of_service.function_kept);
    CHECK(logs.function_rate_bytes == defaults_of_service.function_rate_bytes);
    CHECK(logs.function_burst_bytes == defaults_of_service.function_burst_bytes);
    CHECK(logs.functions_open == defaults_of_service.functions_open);
    CHECK(logs.functions_known == defaults_of_service.functions_known);
    CHECK(logs.functions_bytes == defaults_of_service.functions_bytes);
    CHECK(logs.functions_files == defaults_of_service.functions_files);
    tf_config_dispose(&config);
}

/* ---- the document ---- */

static bool has(const char *text, const char *what)
{
    return strstr(text, what) != NULL;
}

static void document_tells_every_key(void)
{
    struct tf_buffer text;
    struct tf_error error;
    tf_buffer_init(&text, 1 << 20);
    CHECK(tf_file_read(AT_FDCWD, TF_SOURCE_DIR "/docs/configuration.md", &text, &error) == TF_OK);
    size_t count;
    const struct tf_key *keys = tf_config_keys(&count);
    for (size_t i = 0; i < count && text.bytes != NULL; i++) {
        const struct tf_key *key = &keys[i];
        char row[256];
        if (key->kind == TF_KEY_NUMBER || key->kind == TF_KEY_BYTES) {
            char initial[64];
            snprintf(initial, sizeof(initial), "%llu", (unsigned long long)key->initial);
            snprintf(row, sizeof(row), "| `%s%s%s` | %s | %llu to %llu | %s |", key->section,
                     key->section[0] != '\0' ? "." : "", key->name,
                     key->initial_text != NULL ? key->initial_text : initial, (unsigned long long)key->least,
                     (unsigned long long)key->most, key->unit);
        } else {
            snprintf(row, sizeof(row), "| `%s%s%s` | %s |", key->section, key->section[0] != '\0' ? "." : "", key->name,
                     key->initial_text);
        }
        CHECK_MESSAGE(has((char *)text.bytes, row), "docs/configuration.md has no row that begins with %s", row);
    }
    tf_buffer_dispose(&text);
}

/* The document's example must be one that is accepted. */
static void document_example_is_valid(void)
{
    struct tf_buffer text;
    struct tf_config config;
    struct tf_error error;
    tf_buffer_init(&text, 1 << 20);
    CHECK(tf_file_read(AT_FDCWD, TF_SOURCE_DIR "/docs/configuration.md", &text, &error) == TF_OK);
    char *begin = text.bytes == NULL ? NULL : strstr((char *)text.bytes, "```yaml\n");
    char *end = begin == NULL ? NULL : strstr(begin + 8, "```");
    CHECK(end != NULL);
    if (end != NULL) {
        *end = '\0';
        CHECK_MESSAGE(parse(begin + 8, &config, &error) == TF_OK, "%s", error.text);
        tf_config_dispose(&config);
    }
    tf_buffer_dispose(&text);
}

TEST_MAIN(TEST(defaults), TEST(everything), TEST(errors_have_a_place), TEST(hostile_files), TEST(single_keys),
          TEST(keys_agree), TEST(addresses), TEST(document_tells_every_key), TEST(document_example_is_valid))
