#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "compiler/child.h"

#define LOG_BYTES_MAX 65536
#define LOG_NAME "tool.log"

extern char **environ;

int tf_child_write(const char *name, const void *bytes, size_t length, struct tf_error *error)
{
    int const fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tf_error_system(error, "%s", name);
    int const code = tf_file_write_all(fd, bytes, length, error);
    close(fd);
    return code;
}

int tf_child_read(const struct tf_child *child, const char *name, struct tf_buffer *bytes, struct tf_error *error)
{
    if (bytes->maximum == 0)
        tf_buffer_init(bytes, child->job->limits.build_file_bytes);
    return tf_file_read(AT_FDCWD, name, bytes, error);
}

int tf_child_deliver(int fd, const void *bytes, size_t length, struct tf_error *error)
{
    return length != 0 ? tf_file_write_all(fd, bytes, length, error) : 0;
}

static int spawn(const char *const *arguments, const char *log, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    /* The log is opened first, by name, and stands in for an empty input too: at its end there is nothing to read. */
    int code = posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(&actions, 0, "empty", O_RDONLY | O_CREAT, 0600);
    if (code == 0)
        code = posix_spawn(ret_pid, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static uint64_t to_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * TF_NS_PER_S + (uint64_t)time.tv_usec * 1000;
}

int tf_child_start(const char *const *arguments, const char *log, pid_t *ret_pid, struct tf_error *error)
{
    int const code = spawn(arguments, log, ret_pid);
    if (code != 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "%s cannot be started in the sandbox: %s", arguments[0],
                            strerror(code));
    return 0;
}

int tf_child_wait(struct tf_child *child, pid_t pid, pid_t *ret_pid, struct tf_tool_end *ret_end,
                  struct tf_error *error)
{
    struct rusage usage;
    pid_t ended;
    while ((ended = wait4(pid, &ret_end->status, 0, &usage)) < 0)
        if (errno != EINTR)
            return tf_error_system(error, "waiting for a tool");
    ret_end->cpu_ns = to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
    child->tools_cpu_ns += ret_end->cpu_ns;
    *ret_pid = ended;
    return 0;
}

int tf_child_run(struct tf_child *child, const char *const *arguments, const char *log, struct tf_tool_end *ret_end,
                 struct tf_error *error)
{
    pid_t pid;
    int const code = tf_child_start(arguments, log, &pid, error);
    return code != 0 ? code : tf_child_wait(child, pid, &pid, ret_end, error);
}

/* The first line of the log that reads like a complaint, in printable ASCII. */
static void first_complaint(const char *log, char *line, size_t line_bytes)
{
    const char *at = strstr(log, "error: ");
    size_t length = 0;
    if (at == NULL)
        at = strstr(log, "undefined reference"); /* ld names the function before it, on a line of its own */
    if (at == NULL)
        at = log;
    while (length < line_bytes - 1 && at[length] != 0 && at[length] != '\n') {
        line[length] = at[length] >= 0x20 && at[length] < 0x7f ? at[length] : '?';
        length++;
    }
    line[length] = 0;
}

static int explain(const struct tf_child *child, const char *what, const struct tf_tool_end *end, const char *log,
                   struct tf_error *error)
{
    const struct tf_limits *const limits = &child->job->limits;
    const char *const rows = child->job->is_background ? "optimise" : "build";
    char line[256];
    if (strstr(log, "frame size") != NULL)
        return tf_error_set(error, TF_ERR_LIMIT, "a function's native stack frame is over stack_frame_bytes (%llu)",
                            (unsigned long long)limits->stack_frame_bytes);
    if (end->cpu_ns + TF_NS_PER_S / 2 >= limits->build_cpu_seconds * TF_NS_PER_S)
        return tf_error_set(error, TF_ERR_TIMEOUT, "%s used more than %s_cpu_seconds (%llu)", what, rows,
                            (unsigned long long)limits->build_cpu_seconds);
    if (strstr(log, "out of memory") != NULL || strstr(log, "virtual memory exhausted") != NULL ||
        strstr(log, "bad_alloc") != NULL || strstr(log, "emory allocation failed") != NULL)
        return tf_error_set(error, TF_ERR_LIMIT, "%s needs more than %s_memory_bytes (%llu)", what, rows,
                            (unsigned long long)limits->build_memory_bytes);
    if (strstr(log, "File too large") != NULL || strstr(log, "No space left on device") != NULL ||
        (WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGXFSZ))
        return tf_error_set(error, TF_ERR_LIMIT, "%s writes more than build_file_bytes (%llu)", what,
                            (unsigned long long)limits->build_file_bytes);
    if (WIFSIGNALED(end->status))
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "%s died of signal %d", what, WTERMSIG(end->status));
    first_complaint(log, line, sizeof(line));
    return tf_error_set(error, TF_ERR_TOOLCHAIN, "%s failed: %s", what, line);
}

int tf_child_judge_end(const struct tf_child *child, const char *what, const char *log,
                       const struct tf_tool_end *end, struct tf_error *error)
{
    struct tf_buffer text;
    uint64_t const most_ns = child->job->limits.build_cpu_seconds * TF_NS_PER_S;
    if (WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0) {
        /* Who waits for a first build is served by the limit of each tool; behind it, the sum is what others pay. */
        if (child->job->is_background && child->tools_cpu_ns > most_ns)
            return tf_error_set(error, TF_ERR_TIMEOUT, "the tools used more than optimise_cpu_seconds (%llu)",
                                (unsigned long long)child->job->limits.build_cpu_seconds);
        return 0;
    }
    tf_buffer_init(&text, LOG_BYTES_MAX);
    tf_file_read(AT_FDCWD, log, &text, NULL);
    int const code = explain(child, what, end, text.bytes != NULL ? (const char *)text.bytes : "", error);
    tf_buffer_dispose(&text);
    return code;
}

int tf_child_run_tool(struct tf_child *child, const char *const *arguments, const char *what, struct tf_error *error)
{
    struct tf_tool_end end;
    int const code = tf_child_run(child, arguments, LOG_NAME, &end, error);
    return code != 0 ? code : tf_child_judge_end(child, what, LOG_NAME, &end, error);
}

void tf_child_wasm2c_arguments(const char *module, uint32_t parts, const char *const **ret_arguments)
{
    /* Through its own dynamic linker: it was linked for a newer C library than the system's. */
    static char outputs[32];
    static const char *arguments[12] = {TF_SANDBOX_WABT "/lib64/ld-linux-x86-64.so.2",
                                        "--library-path",
                                        TF_SANDBOX_WABT "/lib/x86_64-linux-gnu",
                                        TF_SANDBOX_WABT "/bin/wasm2c",
                                        "--no-debug-names",
                                        "-n",
                                        "m",
                                        "-o",
                                        "m.c"};
    snprintf(outputs, sizeof(outputs), "--num-outputs=%u", parts);
    arguments[9] = module;
    arguments[10] = parts > 1 ? outputs : NULL;
    *ret_arguments = arguments;
}
