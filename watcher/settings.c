/*
 * Settings files (sites/settings.h): found beside a function, read with it, judged by a process that can do nothing.
 *
 * The YAML is a stranger's, and the library that reads it is C: so a fork of the builder reads it, without descriptors,
 * system calls or time beyond what that takes, and what it says is read again by our own rules. It lives for a
 * millisecond; the compiler's sandbox would take fifty.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/error.h"
#include "sites/settings.h"
#include "watcher/internal.h"

#define SUFFIX ".wasm"
#define SUFFIX_LENGTH (sizeof(SUFFIX) - 1)
#define JUDGE_MS 5000
#define JUDGE_CPU_S 2

/* Of a function's name; as long. */
static void name_of_settings(const char *function, char ret_name[NAME_MAX + 1])
{
    size_t const length = strlen(function);
    snprintf(ret_name, NAME_MAX + 1, "%.*s.yaml", (int)(length - SUFFIX_LENGTH), function);
}

bool tf_name_function_of_settings(const char *name, char ret_function[NAME_MAX + 1])
{
    static const char suffix[] = ".yaml";
    size_t const length = strlen(name), suffix_length = sizeof(suffix) - 1;
    if (length <= suffix_length || length > NAME_MAX || strcmp(name + length - suffix_length, suffix) != 0)
        return false;
    snprintf(ret_function, NAME_MAX + 1, "%.*s" SUFFIX, (int)(length - suffix_length), name);
    return tf_name_is_function(ret_function);
}

void tf_identity_of_settings(int folder_fd, const char *function, struct tf_identity *identity)
{
    char name[NAME_MAX + 1];
    struct stat status;
    name_of_settings(function, name);
    bool const is_there = fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    struct tf_identity const own = is_there ? tf_identity_of(&status) : (struct tf_identity){0};
    identity->settings_inode = own.inode;
    identity->settings_bytes = own.bytes;
    identity->settings_modified_ns = own.modified_ns;
    identity->settings_changed_ns = own.changed_ns;
}

/* ---- the judge ---- */

static _Noreturn void tell(int fd, char verdict, const void *bytes, size_t length)
{
    const char *at = bytes;
    bool is_good = write(fd, &verdict, 1) == 1;
    while (is_good && length > 0) {
        ssize_t const written = write(fd, at, length);
        is_good = written > 0;
        at += is_good ? written : 0;
        length -= is_good ? (size_t)written : 0;
    }
    _exit(0);
}

/* In the child. What it inherits that could be misused is given up first: descriptors, and the calls to make others;
 * the one page of the builder's that others look at is not inherited (publish.c). */
static _Noreturn void judge(int fd, const struct tf_buffer *yaml, const struct tf_limits *limits)
{
    static const char *const calls[] = {"write",    "exit",    "exit_group", "brk",          "mmap",
                                        "munmap",   "mremap",  "madvise",    "mprotect",     "futex",
                                        "getrandom", "rt_sigreturn", "rt_sigprocmask", "clock_gettime"};
    struct rlimit const cpu = {JUDGE_CPU_S, JUDGE_CPU_S}, none = {0, 0};
    struct tf_settings *settings = NULL;
    struct tf_error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &none);
    if (dup2(fd, 3) != 3 || close_range(0, 2, 0) != 0 || close_range(4, ~0u, 0) != 0 ||
        tf_confine_no_new_privileges(&error) != 0 ||
        tf_confine_calls(calls, sizeof(calls) / sizeof(calls[0]), &error) != 0)
        tell(3, 'S', "the process that reads settings cannot be confined", 50);
    int const result = tf_settings_from_yaml(yaml->bytes != NULL ? (const void *)yaml->bytes : "", yaml->length,
                                             limits, &settings, &error);
    if (result != 0)
        tell(3, result == TF_ERR_SYSTEM ? 'S' : 'E', error.text, strlen(error.text));
    struct tf_buffer line;
    tf_buffer_init(&line, TF_SETTINGS_TEXT_BYTES);
    tf_settings_write(settings, &line);
    if (line.failed)
        tell(3, 'E', "the settings are too long", 25);
    tell(3, 'L', line.bytes, line.length);
}

/* Everything until the end, or until it took too long. */
static bool listen_to(int fd, struct tf_buffer *said)
{
    uint64_t const until_ns = tf_clock_ns() + JUDGE_MS * TF_NS_PER_MS;
    for (;;) {
        struct pollfd waited = {.fd = fd, .events = POLLIN};
        uint64_t const now_ns = tf_clock_ns();
        char bytes[4096];
        if (now_ns >= until_ns)
            return false;
        int const ready = poll(&waited, 1, (int)((until_ns - now_ns) / TF_NS_PER_MS) + 1);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready <= 0)
            continue;
        ssize_t const got = read(fd, bytes, sizeof(bytes));
        if (got == 0)
            return true;
        if ((got < 0 && errno != EINTR) || (got > 0 && tf_buffer_append(said, bytes, (size_t)got) != 0))
            return false;
    }
}

/* What the judge said is a stranger's word again. */
static int take_verdict(const struct tf_buffer *said, const struct tf_limits *limits, struct tf_buffer *line,
                        struct tf_error *error)
{
    const char *const text = (const char *)said->bytes + 1;
    struct tf_settings *settings;
    char shown[TF_ERROR_TEXT_BYTES];
    if (said->bytes[0] != 'L') {
        bool const is_ours = said->bytes[0] == 'S';
        return tf_error_set(error, is_ours ? TF_ERR_SYSTEM : TF_ERR_REFUSED, "%s",
                            tf_printable(text, shown, sizeof(shown)));
    }
    if (text[0] == '\0')
        return 0;
    int result = strlen(text) == said->length - 1 ? tf_settings_read(text, &settings, error) : TF_ERR_CORRUPT;
    if (result != 0)
        return tf_error_set(error, TF_ERR_REFUSED, "settings that cannot be read back");
    result = tf_settings_check_limits(settings, limits, error) == 0 ? 0 : TF_ERR_REFUSED;
    tf_settings_write(settings, line);
    tf_settings_destroy(&settings);
    return line->failed ? tf_error_set(error, TF_ERR_SYSTEM, "no memory for settings") : result;
}

int tf_settings_judge(const struct tf_buffer *yaml, const struct tf_limits *limits, struct tf_buffer *ret_line,
                      struct tf_error *error)
{
    int pair[2], status = 0;
    if (pipe2(pair, O_CLOEXEC) != 0)
        return tf_error_system(error, "cannot make a pipe");
    pid_t const child = fork();
    if (child == 0)
        judge(pair[1], yaml, limits);
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return tf_error_system(error, "cannot make a process to read settings");
    }
    struct tf_buffer said, line;
    tf_buffer_init(&said, TF_SETTINGS_TEXT_BYTES + 2);
    tf_buffer_init(&line, TF_SETTINGS_TEXT_BYTES);
    bool const is_whole = listen_to(pair[0], &said);
    close(pair[0]);
    if (!is_whole)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    int result = is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0 && said.length > 0
                     ? take_verdict(&said, limits, &line, error)
                     : tf_error_set(error, TF_ERR_REFUSED, "the settings could not be read in the time for it, or the "
                                                           "process that read them died");
    tf_buffer_dispose(&said);
    if (result == 0)
        *ret_line = line;
    else
        tf_buffer_dispose(&line);
    return result;
}

/* ---- with a job ---- */

/* "hello.yaml: …": the function's name is known from where the error is told. */
static int of_file(struct tf_error *error, const char *name, int result)
{
    char text[TF_ERROR_TEXT_BYTES], shown[NAME_MAX + 1];
    snprintf(text, sizeof(text), "%s", error->text);
    return tf_error_set(error, result, "%s: %s", tf_printable(name, shown, sizeof(shown)), text);
}

int tf_settings_read_beside(int folder_fd, const char *function, const struct tf_limits *limits,
                            struct tf_stable_read *read, struct tf_buffer *ret_line, struct tf_error *error)
{
    char name[NAME_MAX + 1];
    struct tf_limits own = *limits;
    struct tf_stable_read settings;
    struct tf_buffer yaml;
    name_of_settings(function, name);
    tf_identity_of_settings(folder_fd, function, &read->identity);
    if (read->identity.settings_inode == 0)
        return 0;
    if (read->identity.settings_bytes > limits->settings_bytes)
        return tf_error_set(error, TF_ERR_REFUSED, "%s has %llu bytes, the limit settings_bytes is %llu", name,
                            (unsigned long long)read->identity.settings_bytes,
                            (unsigned long long)limits->settings_bytes);
    own.module_bytes = limits->settings_bytes;
    int result = tf_read_stable_now(folder_fd, name, &own, &yaml, &settings, error);
    if (result == 0 && settings.is_young &&
        (result = tf_read_confirm(folder_fd, name, &own, &yaml, &settings, error)) != 0)
        tf_buffer_dispose(&yaml);
    if (result != 0) {
        read->is_open_for_writing |= settings.is_open_for_writing;
        return result == TF_ERR_NOT_FOUND ? TF_ERR_CHANGED : result;
    }
    if (settings.identity.inode != read->identity.settings_inode ||
        settings.identity.changed_ns != read->identity.settings_changed_ns)
        result = tf_error_set(error, TF_ERR_CHANGED, "%s changed while it was read", name);
    else if ((result = tf_settings_judge(&yaml, limits, ret_line, error)) != 0)
        of_file(error, name, result);
    tf_buffer_dispose(&yaml);
    return result;
}

int tf_settings_suit_module(const struct tf_buffer *line, uint64_t memory_pages_min, struct tf_error *error)
{
    struct tf_settings *settings;
    if (line->length == 0 || tf_settings_read((const char *)line->bytes, &settings, error) != 0)
        return 0;
    uint64_t const most = settings->limits.memory_pages;
    tf_settings_destroy(&settings);
    if (memory_pages_min <= most)
        return 0;
    return tf_error_set(error, TF_ERR_REFUSED,
                        "settings: limits: memory_pages: %llu is less than the %llu pages that the module starts with",
                        (unsigned long long)most, (unsigned long long)memory_pages_min);
}
