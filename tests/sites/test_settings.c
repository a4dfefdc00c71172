/* Settings: what is taken, what is refused and where, and that the line says the same as the YAML. */
#include <stdlib.h>
#include <string.h>

#include "sites/settings.h"
#include "tests/check.h"

static const struct tf_limits limits = TF_LIMITS_DEFAULT;

/* The line, or "error: …"; static storage. */
static const char *line_of_bytes(const char *yaml, size_t length)
{
    static char text[8192];
    struct tf_settings *settings, *again;
    struct tf_error error;
    struct tf_buffer line, second;
    if (tf_settings_from_yaml(yaml, length, &limits, &settings, &error) != 0) {
        snprintf(text, sizeof(text), "error: %s", error.text);
        return text;
    }
    tf_buffer_init(&line, TF_SETTINGS_TEXT_BYTES);
    tf_buffer_init(&second, TF_SETTINGS_TEXT_BYTES);
    tf_settings_write(settings, &line);
    snprintf(text, sizeof(text), "%s", line.length > 0 ? (const char *)line.bytes : "");
    if (line.length > 0) {
        CHECK(tf_settings_read((const char *)line.bytes, &again, &error) == 0);
        tf_settings_write(again, &second);
        CHECK(second.length == line.length && memcmp(second.bytes, line.bytes, line.length) == 0);
        tf_settings_destroy(&again);
    }
    tf_buffer_dispose(&line);
    tf_buffer_dispose(&second);
    tf_settings_destroy(&settings);
    return text;
}

static const char *line_of(const char *yaml)
{
    return line_of_bytes(yaml, strlen(yaml));
}

#define IS(yaml, line) CHECK_MESSAGE(strcmp(line_of(yaml), line) == 0, "%s", line_of(yaml))
#define FAILS(yaml, text)                                                                                              \
    CHECK_MESSAGE(strncmp(line_of(yaml), "error: ", 7) == 0 && strstr(line_of(yaml), text) != NULL, "%s", line_of(yaml))

static void everything_there_is(void)
{
    IS("environment:\n  GREETING: 'good day, 100 %'\n  EMPTY: ''\n"
       "secrets: [API_KEY]\n"
       "hosts: [api.example.com, '*.example.org:8443', '[2001:db8::1]:80', 203.0.113.7]\n"
       "methods: [GET, POST]\n"
       "files: yes\n"
       "cors:\n  origins: ['https://a.example', 'http://localhost:3000']\n  headers: [content-type]\n"
       "  expose: x-total\n  max_age_s: 600\n  credentials: true\n"
       "limits:\n  cpu_ms: 200\n  request_body_bytes: 1M\n  scratch_bytes: 0\n",
       "environment=GREETING=good%20day,%20100%20%25 environment=EMPTY= secret=API_KEY=API_KEY host=api.example.com "
       "host=%2A.example.org:8443 host=%5B2001:db8::1%5D:80 host=203.0.113.7 method=GET method=POST "
       "origin=https://a.example origin=http://localhost:3000 header=content-type expose=x-total files=yes "
       "credentials=yes max_age=600 limit.cpu_ms=200 limit.request_body_bytes=1048576 limit.scratch_bytes=0");
    IS("secrets:\n  KEY: stripe_live\n", "secret=KEY=stripe_live");
    IS("{methods: GET, hosts: []}", "hosts= method=GET");
}

static void nothing_is_nothing(void)
{
    IS("", "");
    IS("# only a comment\n", "");
    IS("{}", "");
    IS("limits:\ncors:\nenvironment:\n", "");
    IS("files: no", "");
}

static void errors_say_where(void)
{
    FAILS("methods: [GET]\nspeed: 9\n", "line 2, column 1: there is no such key");
    FAILS("limits:\n  cpu_ms: 10\n  walls: 4\n", "line 3, column 10: limits: 'walls'");
    FAILS("limits:\n  cpu_ms: 5000\n", "line 2, column 11: limits: cpu_ms: 5000 is over the server's, 1000");
    FAILS("limits:\n  cpu_ms: 0\n", "at least 1");
    FAILS("limits:\n  cpu_ms: -1\n", "a number");
    FAILS("limits:\n  cpu_ms: 1K\n", "a number");
    FAILS("limits:\n  cpu_ms: 1e3\n", "a number");
    FAILS("limits:\n  response_body_bytes: 99999999999999999999G\n", "a number");
    FAILS("limits:\n  response_body_bytes: 18446744073709551615\n", "a number");
    FAILS("limits:\n  cpu_ms: 1\n  cpu_ms: 2\n", "line 3");
    FAILS("files: yes\nfiles: yes\n", "line 2, column 1: this key is there twice");
    FAILS("files: maybe\n", "yes or no");
    FAILS("files:\n", "a single value is wanted here");
    FAILS("files: [yes]\n", "a single value");
    FAILS("methods: {GET: 1}\n", "a list is wanted");
    FAILS("methods: [[GET]]\n", "a single value");
    FAILS("methods: ['']\n", "is not allowed");
    FAILS("methods: ['G T']\n", "is not allowed");
    FAILS("methods: [CONNECT]\n", "is not allowed");
    FAILS("just words\n", "keys and values");
    FAILS("- a\n- b\n", "keys and values");
    FAILS("methods: [GET}\n", "no valid YAML");
    FAILS("hosts: [", "no valid YAML");
    FAILS("methods: [GET]\n---\nfiles: yes\n", "a second document");
    FAILS("%YAML 1.1\n---\nfiles: yes\n", "directives");
    FAILS("%TAG ! tag:x,2000:\n---\nfiles: yes\n", "directives");
}

static void variables_are_names(void)
{
    FAILS("environment:\n  1A: x\n", "a name is letters");
    FAILS("environment:\n  A-B: x\n", "a name is letters");
    FAILS("environment:\n  '': x\n", "a name is letters");
    FAILS("environment:\n  'A=B': x\n", "line 2");
    FAILS("environment:\n  A: x\n  A: y\n", "twice");
    FAILS("environment:\n  A: x\nsecrets: [A]\n", "twice");
    FAILS("environment:\n  A: [x]\n", "a single value");
    FAILS("secrets: ['../../etc/passwd']\n", "is not allowed");
    FAILS("secrets: {A: 'a b'}\n", "the name of a secret");
    FAILS("secrets: {A: ''}\n", "the name of a secret");
    CHECK(strncmp(line_of_bytes("environment:\n  A: \"x\\0y\"\n", 24), "error: ", 7) == 0);
    IS("environment:\n  A: \"a\\nb c=d\"\n", "environment=A=a%0Ab%20c=d");
    IS("environment:\n  AB: x\n  A: y\n", "environment=AB=x environment=A=y");
}

static void hosts_are_hosts(void)
{
    static const char *const bad[] = {
        "EXAMPLE.com", "https://a.example", "a.example/x", "*",        "*.*.example", "a..example", ".example",
        "a.example.",  "a.example:",        "a.example:0", "x:70000", "user@a",      "[::1",       "[]",
        "::1",         "a b",               "*.",          "[fe80::1%eth0]",           "a.example:80:81"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[128];
        snprintf(yaml, sizeof(yaml), "hosts: ['%s']\n", bad[i]);
        CHECK_MESSAGE(strncmp(line_of(yaml), "error: line 1", 13) == 0, "%s: %s", bad[i], line_of(yaml));
    }
}

static void origins_are_origins(void)
{
    static const char *const bad[] = {"a.example", "https://a.example/", "https://", "HTTPS://a.example",
                                      "https://A.example", "https://a.example\r\nX: y", "null x", "https://u@a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[128];
        snprintf(yaml, sizeof(yaml), "cors:\n  origins:\n    - \"%s\"\n", bad[i]);
        CHECK_MESSAGE(strncmp(line_of(yaml), "error: ", 7) == 0, "%s", bad[i]);
    }
    FAILS("cors: {origins: ['*'], credentials: yes}", "credentials go to named origins only");
    FAILS("cors: {origins: ['*', 'https://a.example']}", "either * or a list");
    FAILS("cors: {headers: [x-a]}", "'origins' is missing");
    FAILS("cors: {origins: ['*'], max_age_s: 86401}", "up to 86400");
    FAILS("cors: {origins: ['*'], headers: ['x:y']}", "the name of a header");
    IS("cors: {origins: '*', headers: ['*']}", "origin=%2A header=%2A");
}

/* What makes YAML more than a text. */
static void attack_yaml_that_grows(void)
{
    FAILS("environment: &a\n  A: x\n", "anchors and tags");
    FAILS("environment:\n  A: &a x\n  B: *a\n", "anchors and tags");
    FAILS("hosts: *a\n", "aliases");
    FAILS("files: !!bool yes\n", "anchors and tags");
    FAILS("environment: !!map {A: x}\n", "anchors and tags");
    FAILS("hosts: !x [a.example]\n", "anchors and tags");
    FAILS("? [a, b]\n: x\n", "a key is wanted");
    FAILS("<<: {files: yes}\n", "there is no such key");
    char deep[10001];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    CHECK(strncmp(line_of(deep), "error: ", 7) == 0);
    memset(deep, '{', sizeof(deep) - 1);
    CHECK(strncmp(line_of(deep), "error: ", 7) == 0);
    static char nested[12000] = "cors:\n  origins: ";
    memset(nested + strlen(nested), '[', 5000);
    CHECK(strncmp(line_of(nested), "error: ", 7) == 0);
}

static void attack_too_much(void)
{
    char *const yaml = calloc(1, 40000);
    for (int i = 0; i < 257; i++)
        snprintf(yaml + strlen(yaml), 64, "%s  A%d: x\n", i == 0 ? "environment:\n" : "", i);
    FAILS(yaml, "more than 256 entries");
    memset(yaml, '#', 20000);
    yaml[20000] = '\0';
    FAILS(yaml, "over settings_bytes (16384)");
    memset(yaml, 0, 40000);
    strcpy(yaml, "environment:\n  ");
    memset(yaml + strlen(yaml), 'A', 200);
    strcat(yaml, ": x\n");
    FAILS(yaml, "line 2");
    free(yaml);
}

/* Bytes that are no text, and every prefix of a good one. */
static void attack_bytes(void)
{
    static const char good[] = "environment:\n  A: \"\\u00e9\\x41\"\nhosts: [a.example]\nlimits: {cpu_ms: 5}\n";
    CHECK(strncmp(line_of_bytes("A: \xff\xfe", 5), "error: ", 7) == 0);
    CHECK(strncmp(line_of_bytes("\xff\xfe" "f\0i\0", 6), "error: ", 7) == 0);
    CHECK(strncmp(line_of_bytes("files: yes\n\0\n", 13), "error: ", 7) == 0);
    for (size_t i = 0; i < sizeof(good); i++)
        line_of_bytes(good, i);
}

static void lines_are_judged(void)
{
    static const char *const bad[] = {"x",           "x=y",          "method=",          "method=G%20T",
                                      "limit.cpu_ms=", "limit.x=1",   "host=%",       "host=%41",         "files=maybe",
                                      " method=GET",
                                      "method=GET ", "header=x-a",   "method=GET  files=yes", "hosts=x", "=",
                                      "secret=A",    "secret=A=b%00", "environment=A=x environment=A=y", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tf_settings *settings;
        struct tf_error error;
        CHECK_MESSAGE(tf_settings_read(bad[i], &settings, &error) == TF_ERR_CORRUPT, "'%s'", bad[i]);
    }
}

static void limits_are_lowered(void)
{
    struct tf_settings *settings;
    struct tf_limits lowered = TF_LIMITS_DEFAULT;
    struct tf_error error;
    CHECK(tf_settings_read("limit.cpu_ms=10 limit.wall_ms=3600000 limit.scratch_bytes=0", &settings, &error) == 0);
    tf_settings_lower(settings, &lowered);
    CHECK(lowered.cpu_ms == 10 && lowered.scratch_bytes == 0);
    CHECK(lowered.wall_ms == limits.wall_ms); /* a line may be older than the server's limit */
    CHECK(lowered.memory_pages == limits.memory_pages && lowered.slots == limits.slots);
    CHECK(tf_settings_check_limits(settings, &limits, &error) == TF_ERR_USAGE);
    tf_settings_destroy(&settings);
}

TEST_MAIN(TEST(everything_there_is), TEST(nothing_is_nothing), TEST(errors_say_where), TEST(variables_are_names),
          TEST(hosts_are_hosts), TEST(origins_are_origins), TEST(attack_yaml_that_grows), TEST(attack_too_much),
          TEST(attack_bytes), TEST(lines_are_judged), TEST(limits_are_lowered))
