/* Log lines: what a stranger's bytes may do to them, and how many a stranger may cause. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "h2o-handler/log.h"
#include "tests/check.h"

static char captured[1 << 20];

/* Runs `act` with descriptor 2 in a file, and returns what came there. */
static const char *capture(void (*act)(void))
{
    char name[] = "/tmp/tf-test-log-XXXXXX";
    int const file = mkstemp(name), saved = dup(STDERR_FILENO);
    unlink(name);
    dup2(file, STDERR_FILENO);
    act();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t const length = pread(file, captured, sizeof(captured) - 1, 0);
    captured[length > 0 ? length : 0] = '\0';
    close(file);
    return captured;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        found++;
    return found;
}

static const char *escape(const char *bytes, size_t length, size_t capacity)
{
    static char text[256];
    memset(text, '#', sizeof(text));
    const char *const result = tf_log_escape((struct tf_text){bytes, length}, text, capacity);
    CHECK(result == text && strlen(text) < capacity);
    return text;
}

static void escaping(void)
{
    CHECK(strcmp(escape("plain text", 10, 100), "plain text") == 0);
    CHECK(strcmp(escape("a\nb\tc\\d\x1b[2J\xff\0e", 13, 100), "a\\nb\\tc\\x5cd\\x1b[2J\\xff\\x00") == 0);
    CHECK(strcmp(escape("", 0, 10), "") == 0);
    CHECK(strcmp(escape("123456", 6, 10), "123456") == 0);
    CHECK(strcmp(escape("1234567", 7, 10), "123456...") == 0);
    CHECK(strcmp(escape("12345\x01", 6, 10), "12345...") == 0);
    for (size_t capacity = 5; capacity < 60; capacity++)
        escape("\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f", 10, capacity);
}

static void write_long_line(void)
{
    struct tf_log log;
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    tf_log_init(&log, 7);
    tf_log_line(&log, TF_LOG_FAILURE, "%s", text);
    tf_log_notice(&log, "short");
}

static void lines_are_whole_and_bounded(void)
{
    const char *const lines = capture(write_long_line);
    const char *const end = strchr(lines, '\n');
    CHECK(end != NULL && end - lines < TF_LOG_LINE_BYTES && end - lines > 900);
    CHECK(end != NULL && strcmp(end + 1, "terrafirma worker 7: short\n") == 0);
}

static void write_flood(void)
{
    struct tf_log log;
    tf_log_init(&log, 0);
    for (int i = 0; i < 5000; i++)
        tf_log_line(&log, TF_LOG_GUEST, "guest %d", i);
    tf_log_line(&log, TF_LOG_FAILURE, "failure");
    log.rates[TF_LOG_GUEST].tokens = 1;
    tf_log_line(&log, TF_LOG_GUEST, "after");
}

static void floods_are_cut_and_told(void)
{
    const char *const lines = capture(write_flood);
    size_t const written = count(lines, "guest ");
    CHECK_MESSAGE(written >= 500 && written < 1000, "%zu", written);
    CHECK(count(lines, "failure\n") == 1);
    CHECK(count(lines, "lines of functions were left out") == 1 && count(lines, "after\n") == 1);
}

static void print_like_a_library(void)
{
    tf_log_guard_stderr();
    fprintf(stderr, "failed to normalize path: `%s` => ``\n", "/\x1b[2J/../");
    fprintf(stderr, "a library's \x1b line\n");
    fprintf(stderr, "failed to normalize path: `");
    for (int i = 0; i < 100000; i++)
        fputc('x', stderr);
    fprintf(stderr, "\nin pie");
    fprintf(stderr, "ces\n");
    for (int i = 0; i < 3000; i++)
        fputc('y', stderr);
    fprintf(stderr, "\nlast\n");
}

/* Last of all: it replaces stderr. */
static void libraries_are_tamed(void)
{
    const char *const lines = capture(print_like_a_library);
    CHECK(count(lines, "normalize") == 0 && count(lines, "xxx") == 0);
    CHECK(count(lines, "a library's \\x1b line\n") == 1 && count(lines, "\nin pieces\n") == 1);
    CHECK(count(lines, "y\nlast\n") + count(lines, "...\nlast\n") == 1);
    CHECK(strlen(lines) < 2 * TF_LOG_LINE_BYTES);
}

TEST_MAIN(TEST(escaping), TEST(lines_are_whole_and_bounded), TEST(floods_are_cut_and_told), TEST(libraries_are_tamed))
