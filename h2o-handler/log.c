#include "h2o-handler/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINES_PER_SECOND 20u
#define LINES_BURST 500u

void tf_log_init(struct tf_log *log, uint32_t worker)
{
    *log = (struct tf_log){.worker = worker};
    for (int i = 0; i < TF_LOG_KINDS; i++)
        log->rates[i] = (struct tf_log_rate){.tokens = LINES_BURST, .tokens_at_ns = tf_clock_ns()};
}

/* One write per line, so that lines of several processes do not mix. A full pipe or disk loses the line: a worker must
 * not wait for its log. */
static void write_line(char *line, size_t length)
{
    line[length++] = '\n';
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line, length);
    } while (written == -1 && errno == EINTR);
}

static void format_line(const struct tf_log *log, const char *format, va_list arguments)
{
    char line[TF_LOG_LINE_BYTES + 1];
    int const head = snprintf(line, TF_LOG_LINE_BYTES, "terrafirma worker %u: ", log->worker);
    int const body = vsnprintf(line + head, TF_LOG_LINE_BYTES - (size_t)head, format, arguments);
    size_t length = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (length >= TF_LOG_LINE_BYTES)
        length = TF_LOG_LINE_BYTES - 1;
    write_line(line, length);
}

static bool take_token(struct tf_log_rate *rate)
{
    uint64_t const now = tf_clock_ns();
    uint64_t const earned = (now - rate->tokens_at_ns) * LINES_PER_SECOND / TF_NS_PER_S;
    if (earned > 0) {
        rate->tokens = earned >= LINES_BURST - rate->tokens ? LINES_BURST : rate->tokens + (uint32_t)earned;
        rate->tokens_at_ns = now;
    }
    if (rate->tokens == 0) {
        rate->left_out++;
        return false;
    }
    rate->tokens--;
    return true;
}

void tf_log_notice(struct tf_log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_line(log, format, arguments);
    va_end(arguments);
}

void tf_log_line(struct tf_log *log, enum tf_log_kind kind, const char *format, ...)
{
    static const char *const kind_names[TF_LOG_KINDS] = {"failures", "functions"};
    struct tf_log_rate *const rate = &log->rates[kind];
    if (!take_token(rate))
        return;
    if (rate->left_out > 0) {
        tf_log_notice(log, "%llu lines of %s were left out", (unsigned long long)rate->left_out, kind_names[kind]);
        rate->left_out = 0;
    }
    va_list arguments;
    va_start(arguments, format);
    format_line(log, format, arguments);
    va_end(arguments);
}

const char *tf_log_escape(struct tf_text text, char *ret_text, size_t capacity)
{
    static const char digits[] = "0123456789abcdef";
    size_t const room = capacity - sizeof("...");
    size_t at = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char const byte = (unsigned char)text.bytes[i];
        char piece[4] = {'\\'};
        size_t length = 2;
        if (byte == '\n') {
            piece[1] = 'n';
        } else if (byte == '\t') {
            piece[1] = 't';
        } else if (byte < 0x20 || byte >= 0x7f || byte == '\\') {
            piece[1] = 'x';
            piece[2] = digits[byte >> 4];
            piece[3] = digits[byte & 15];
            length = 4;
        } else {
            piece[0] = (char)byte;
            length = 1;
        }
        if (at + length > room) {
            memcpy(ret_text + at, "...", sizeof("..."));
            return ret_text;
        }
        memcpy(ret_text + at, piece, length);
        at += length;
    }
    ret_text[at] = '\0';
    return ret_text;
}

/* ---- what libh2o prints ---- */

static struct {
    char line[TF_LOG_LINE_BYTES];
    size_t length;
    bool dropping; /* until the next newline */
} guard;

static void flush_guarded(void)
{
    static const char unwanted[] = "failed to normalize path";
    if (guard.length == 0)
        return;
    if (guard.length < sizeof(unwanted) - 1 || memcmp(guard.line, unwanted, sizeof(unwanted) - 1) != 0) {
        char escaped[TF_LOG_LINE_BYTES + 1];
        tf_log_escape((struct tf_text){guard.line, guard.length}, escaped, TF_LOG_LINE_BYTES);
        write_line(escaped, strlen(escaped));
    }
    guard.length = 0;
}

static ssize_t guarded_write(void *cookie, const char *bytes, size_t length)
{
    (void)cookie;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            flush_guarded();
            guard.dropping = false;
        } else if (!guard.dropping) {
            guard.line[guard.length++] = bytes[i];
            if (guard.length == sizeof(guard.line)) {
                flush_guarded();
                guard.dropping = true;
            }
        }
    }
    return (ssize_t)length;
}

void tf_log_guard_stderr(void)
{
    FILE *const stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = guarded_write});
    if (stream == NULL)
        return;
    setvbuf(stream, NULL, _IOLBF, BUFSIZ);
    fflush(stderr);
    stderr = stream;
}
