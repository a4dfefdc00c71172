#include <dirent.h>
#include <stdlib.h>

#include "base/clock.h"
#include "services/log_functions.h"
#include "services/log_line.h"
#include "tests/services/fixture.h"

#define NOW_NS (1000 * TF_NS_PER_S)

struct test {
    struct folder folder;
    struct tf_logs_config config;
    struct tf_log_functions functions;
};

static void set_up(struct test *test)
{
    struct tf_error error;
    test->folder = folder_make();
    test->config = (struct tf_logs_config)TF_LOGS_CONFIG_DEFAULT;
    CHECK(tf_log_functions_init(&test->functions, &test->config, test->folder.fd, &error) == 0);
}

static void tear_down(struct test *test)
{
    tf_log_functions_dispose(&test->functions);
    tf_log_functions_dispose(&test->functions);
    folder_remove(&test->folder);
}

static void say(struct test *test, const char *site, const char *function, struct tf_log_text text, uint64_t now_ns)
{
    struct tf_log_guest_text const said = {
        .site = text_of(site), .function = text_of(function), .kind = TEXT("debug"), .text = text};
    tf_log_functions_text(&test->functions, &said, 0, now_ns);
}

static size_t lines_of(const struct test *test, const char *name)
{
    char *const text = slurp(test->folder.fd, name);
    size_t const lines = count_lines(text);
    free(text);
    return lines;
}

static void test_names(void)
{
    static const struct {
        const char *function, *name;
    } rows[] = {
        {"a.wasm", "a.wasm.log"},
        {"a/b c.wasm", "a%2Fb%20c.wasm.log"},
        {"a%2Fb.wasm", "a%252Fb.wasm.log"}, /* another one than a/b.wasm */
        {".hidden.wasm", "%2Ehidden.wasm.log"},
        {"\xc3\xa4~\n.wasm", "%C3%A4%7E%0A.wasm.log"},
    };
    char name[TF_LOG_FUNCTION_NAME_BYTES], other[TF_LOG_FUNCTION_NAME_BYTES], path[TF_LOG_FUNCTION_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tf_log_function_file_name(text_of(rows[i].function), name);
        CHECK_MESSAGE(strcmp(name, rows[i].name) == 0, "%s", name);
    }
    /* Long ones, whose escapes end at every place. */
    for (size_t length = 150; length < sizeof(path); length++) {
        memset(path, length % 2 ? '/' : 'x', length);
        path[0] = 'x';
        memcpy(path + length - 5, ".wasm", 5);
        tf_log_function_file_name((struct tf_log_text){path, length}, name);
        path[length - 6] = 'y';
        tf_log_function_file_name((struct tf_log_text){path, length}, other);
        CHECK(strlen(name) + sizeof(".1000") <= 255 && strcmp(name, other) != 0 && strchr(name, '/') == NULL);
        const char *const tilde = strchr(name, '~');
        CHECK(tilde == NULL || (tilde[-1] != '%' && tilde[-2] != '%' && strlen(tilde) == 1 + 32 + 4));
    }
}

static void test_writes(void)
{
    struct test test;
    set_up(&test);
    say(&test, "example.com", "a/b.wasm", TEXT("hello\nworld"), NOW_NS);
    struct tf_log_failure const failure = {.error_id = 7,
                                           .outcome = TF_LOG_OUTCOME_TRAPPED,
                                           .trap = TF_TRAP_UNREACHABLE,
                                           .function_index = TF_LOG_NO_FUNCTION,
                                           .pc_offset = TF_LOG_NO_OFFSET,
                                           .site = TEXT("example.com"),
                                           .function = TEXT("a/b.wasm")};
    tf_log_functions_failure(&test.functions, &failure, 2, NOW_NS);
    char *const text = slurp(test.folder.fd, "functions/example.com/a%2Fb.wasm.log");
    CHECK(strcmp(text, "1970-01-01T00:00:00.000000Z worker 0 debug: hello\\nworld\n"
                       "1970-01-01T00:00:00.000000Z worker 2 error 0000000000000007: trapped: unreachable\n") == 0);
    free(text);
    const struct tf_log_functions_counters *const counters = &test.functions.counters;
    CHECK(counters->lines == 2 && counters->open == 1 && counters->known == 1);
    tear_down(&test);
}

static void test_rate(void)
{
    struct test test;
    static char kilobyte[1024];
    memset(kilobyte, 'x', sizeof(kilobyte));
    struct tf_log_text const text = {kilobyte, sizeof(kilobyte)};
    set_up(&test);
    test.config.function_burst_bytes = 32768;
    test.config.function_rate_bytes = 4096;
    for (int i = 0; i < 100; i++)
        say(&test, "a.b", "f.wasm", text, NOW_NS);
    uint64_t const first = test.functions.counters.lines;
    CHECK(first > 25 && first < 32 && test.functions.counters.left_out == 100 - first);
    say(&test, "a.b", "g.wasm", text, NOW_NS); /* another's is its own */
    CHECK(lines_of(&test, "functions/a.b/g.wasm.log") == 1);
    struct tf_log_failure const failure = {.site = TEXT("a.b"), .function = TEXT("f.wasm")};
    tf_log_functions_failure(&test.functions, &failure, 0, NOW_NS); /* what it says does not hide that it fails */
    char *before = slurp(test.folder.fd, "functions/a.b/f.wasm.log");
    CHECK(count_lines(before) == first + 2 && strstr(before, " lines were left out: too much at once\n") != NULL);
    free(before);
    for (int i = 0; i < 10; i++) /* a second later there is room for three, and with what was left over for four */
        say(&test, "a.b", "f.wasm", text, NOW_NS + TF_NS_PER_S);
    CHECK(lines_of(&test, "functions/a.b/f.wasm.log") == first + 2 + 4);
    tf_log_functions_tick(&test.functions, 0);
    char *const after = slurp(test.folder.fd, "functions/a.b/f.wasm.log");
    CHECK(count_lines(after) == first + 2 + 4 + 1 && strstr(after, " 6 lines were left out") != NULL);
    free(after);
    tf_log_functions_tick(&test.functions, 0); /* told once */
    CHECK(lines_of(&test, "functions/a.b/f.wasm.log") == first + 2 + 4 + 1);
    say(&test, "a.b", "f.wasm", text, NOW_NS + 1000000 * TF_NS_PER_S);
    CHECK(lines_of(&test, "functions/a.b/f.wasm.log") == first + 2 + 4 + 2);
    tear_down(&test);
}

/* Never more than the burst and what came in since, however the calls lie in time. */
static void test_rate_sum(void)
{
    struct test test;
    set_up(&test);
    test.config.function_burst_bytes = 32768;
    test.config.function_rate_bytes = 1000;
    test.config.function_bytes = 1ull << 30;
    srand(5);
    uint64_t now_ns = NOW_NS;
    for (int i = 0; i < 20000; i++) {
        now_ns += (uint64_t)rand() % 20000000;
        say(&test, "a.b", "f.wasm", TEXT("0123456789012345678901234567890123456789012345678901234"), now_ns);
    }
    uint64_t const most = 32768 + (now_ns - NOW_NS) / 1000000;
    char *const text = slurp(test.folder.fd, "functions/a.b/f.wasm.log");
    uint64_t charged = 0; /* the lines about lines are not */
    for (const char *at = text; (at = strstr(at, " debug: ")) != NULL; at++)
        charged += strlen("1970-01-01T00:00:00.000000Z worker 0 debug: ") + 55 + 1;
    CHECK_MESSAGE(charged <= most && charged > most - 1000, "%llu", (unsigned long long)charged);
    free(text);
    CHECK(test.functions.counters.left_out > 0);
    tear_down(&test);
}

static void test_rotation(void)
{
    struct test test;
    static char kilobyte[1024];
    memset(kilobyte, 'x', sizeof(kilobyte));
    set_up(&test);
    test.config.function_bytes = 32768;
    test.config.function_burst_bytes = 1u << 30;
    for (int i = 0; i < 200; i++)
        say(&test, "a.b", "f.wasm", (struct tf_log_text){kilobyte, sizeof(kilobyte)}, NOW_NS);
    CHECK(file_size(test.folder.fd, "functions/a.b/f.wasm.log") > 0 &&
          file_size(test.folder.fd, "functions/a.b/f.wasm.log") <= 32768);
    CHECK(file_size(test.folder.fd, "functions/a.b/f.wasm.log.1") > 31000 &&
          file_size(test.folder.fd, "functions/a.b/f.wasm.log.1") <= 32768);
    CHECK(file_size(test.folder.fd, "functions/a.b/f.wasm.log.2") == -1);
    const struct tf_log_functions_counters *const counters = &test.functions.counters;
    CHECK(counters->lines == 200 && counters->lost == 0 && counters->open == 1);
    tear_down(&test);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *const folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void test_least_recently_used(void)
{
    struct test test;
    char function[32];
    set_up(&test);
    test.config.functions_open = 8;
    test.config.functions_known = 32;
    int const before = open_descriptors();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(function, sizeof(function), "f%d.wasm", i);
            say(&test, "a.b", function, TEXT("x"), NOW_NS);
            say(&test, "a.b", "often.wasm", TEXT("x"), NOW_NS);
            CHECK(test.functions.counters.open <= 8 && test.functions.counters.known <= 32);
            CHECK(open_descriptors() <= before + 8);
        }
    }
    CHECK(test.functions.counters.open == 8 && test.functions.counters.known == 32);
    CHECK(lines_of(&test, "functions/a.b/often.wasm.log") == 300);
    CHECK(lines_of(&test, "functions/a.b/f0.wasm.log") == 3 && lines_of(&test, "functions/a.b/f99.wasm.log") == 3);
    /* One that is forgotten tells first what was left out of it. */
    test.config.function_burst_bytes = 0;
    say(&test, "a.b", "quiet.wasm", TEXT("x"), NOW_NS);
    for (int i = 0; i < 40; i++) {
        snprintf(function, sizeof(function), "g%d.wasm", i);
        say(&test, "a.b", function, TEXT("x"), NOW_NS);
    }
    CHECK(lines_of(&test, "functions/a.b/quiet.wasm.log") == 1);
    tear_down(&test);
}

static void test_deleted_file(void)
{
    struct test test;
    set_up(&test);
    say(&test, "a.b", "f.wasm", TEXT("x"), NOW_NS);
    CHECK(unlinkat(test.folder.fd, "functions/a.b/f.wasm.log", 0) == 0);
    tf_log_functions_tick(&test.functions, 0);
    CHECK(test.functions.counters.open == 0);
    say(&test, "a.b", "f.wasm", TEXT("y"), NOW_NS);
    CHECK(lines_of(&test, "functions/a.b/f.wasm.log") == 1);
    tear_down(&test);
}

/* What stands in the way costs lines, not the service. */
static void test_in_the_way(void)
{
    struct test test;
    set_up(&test);
    CHECK(symlinkat("/tmp", test.functions.folder_fd, "link.com") == 0);
    CHECK(mkdirat(test.functions.folder_fd, "a.b", 0700) == 0 &&
          symlinkat("/dev/null", test.functions.folder_fd, "a.b/f.wasm.log") == 0);
    say(&test, "link.com", "f.wasm", TEXT("x"), NOW_NS);
    say(&test, "a.b", "f.wasm", TEXT("x"), NOW_NS);
    CHECK(test.functions.counters.lost == 2 && test.functions.counters.open == 0);
    CHECK(file_size(AT_FDCWD, "/tmp/f.wasm.log") == -1);
    tear_down(&test);
}

static void make_old(int folder_fd, const char *name, const char *bytes, time_t seconds)
{
    struct timespec const times[2] = {{seconds, 0}, {seconds, 0}};
    int const fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes) && futimens(fd, times) == 0);
    close(fd);
}

static void test_prune_count(void)
{
    struct test test;
    char name[64];
    set_up(&test);
    test.config.functions_files = 16;
    for (int site = 0; site < 3; site++) {
        snprintf(name, sizeof(name), "site%d", site);
        CHECK(mkdirat(test.functions.folder_fd, name, 0700) == 0);
        for (int i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "site%d/f%d.wasm.log", site, i);
            make_old(test.functions.folder_fd, name, "x\n", 1000 + site * 100 + i);
        }
    }
    tf_log_functions_tick(&test.functions, 0);
    CHECK(test.functions.counters.removed == 16); /* down to 14: a little below 16 */
    CHECK(file_size(test.functions.folder_fd, "site0") == -1); /* empty, so gone */
    CHECK(file_size(test.functions.folder_fd, "site1/f5.wasm.log") == -1 &&
          file_size(test.functions.folder_fd, "site1/f6.wasm.log") == 2 &&
          file_size(test.functions.folder_fd, "site2/f0.wasm.log") == 2);
    tear_down(&test);
}

static void test_prune_bytes_while_open(void)
{
    struct test test;
    static char kilobyte[1024];
    char function[32];
    memset(kilobyte, 'x', sizeof(kilobyte));
    set_up(&test);
    test.config.functions_bytes = 100u << 10;
    for (int i = 0; i < 300; i++) {
        snprintf(function, sizeof(function), "f%d.wasm", i);
        say(&test, "a.b", function, (struct tf_log_text){kilobyte, sizeof(kilobyte)}, NOW_NS);
        tf_log_functions_tick(&test.functions, 0);
    }
    size_t files = 0;
    int const site_fd = openat(test.functions.folder_fd, "a.b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const site = fdopendir(site_fd);
    while (site != NULL && readdir(site) != NULL)
        files++;
    closedir(site);
    CHECK(files - 2 < 110 && files - 2 > 50 && test.functions.counters.removed > 150);
    CHECK(lines_of(&test, "functions/a.b/f299.wasm.log") == 1);
    say(&test, "a.b", "f0.wasm", TEXT("again"), NOW_NS); /* its file is gone; it gets another */
    CHECK(lines_of(&test, "functions/a.b/f0.wasm.log") == 1);
    tear_down(&test);
}

TEST_MAIN(TEST(test_names), TEST(test_writes), TEST(test_rate), TEST(test_rate_sum), TEST(test_rotation),
          TEST(test_least_recently_used), TEST(test_deleted_file), TEST(test_in_the_way), TEST(test_prune_count),
          TEST(test_prune_bytes_while_open))
