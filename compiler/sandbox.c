#include "compiler/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "compiler/job.h"

#define NOBODY 65534
#define ARGUMENTS_MAX 96
#define DESCRIPTORS_MAX 16
/* Open files of one tool; ld opens few, cc1 fewer. */
#define OPEN_FILES 256
/* What the kernel takes to free what a large build held, and more. */
#define END_MS 2000
/* wasm2c recurses once a nested block; the rest of the stack is address space that is never touched. */
#define STACK_BYTES (64u << 20)

struct arguments {
    const char *list[ARGUMENTS_MAX];
    size_t count;
    char wabt[4096], size[32], program[16], filter[16];
};

/* ---- what bubblewrap is told ---- */

static void add(struct arguments *arguments, const char *const *list)
{
    for (; *list != NULL && arguments->count < ARGUMENTS_MAX - 1; list++)
        arguments->list[arguments->count++] = *list;
}
#define ADD(arguments, ...) add(arguments, (const char *const[]){__VA_ARGS__, NULL})

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* /lib and the like: a link into /usr on a merged system, else a folder of their own. */
static void add_root_folder(struct arguments *arguments, const char *path, const char *target)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return;
    if (S_ISLNK(st.st_mode))
        ADD(arguments, "--symlink", target, path);
    else
        ADD(arguments, "--ro-bind", path, path);
}

static void add_host(struct arguments *arguments, const char *const cc[2])
{
    static const char *const folders[] = {"/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec"};
    static const char *const local[] = {"/usr/local/bin", "/usr/local/lib", "/usr/local/libexec"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (exists(folders[i]))
            ADD(arguments, "--ro-bind", folders[i], folders[i]);
    if (strncmp(cc[0], "/usr/local/", 11) == 0 || strncmp(cc[1], "/usr/local/", 11) == 0)
        for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
            if (exists(local[i]))
                ADD(arguments, "--ro-bind", local[i], local[i]);
    add_root_folder(arguments, "/bin", "usr/bin");
    add_root_folder(arguments, "/lib", "usr/lib");
    add_root_folder(arguments, "/lib64", "usr/lib64");
}

/* The program runs as process 1 of its namespace: when it ends, the kernel kills whatever it left behind. */
static void make_arguments(const struct tf_sandbox_config *config, int program_fd, int filter_fd,
                           struct arguments *arguments)
{
    arguments->count = 0;
    snprintf(arguments->wabt, sizeof(arguments->wabt), "%s/root/usr", config->wabt_prefix);
    snprintf(arguments->size, sizeof(arguments->size), "%" PRIu64, config->limits->build_file_bytes);
    snprintf(arguments->program, sizeof(arguments->program), "%d", program_fd);
    snprintf(arguments->filter, sizeof(arguments->filter), "%d", filter_fd);
    ADD(arguments, "bwrap", "--unshare-all", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL",
        "--uid", "65534", "--gid", "65534", "--hostname", "build", "--clearenv", "--setenv", "PATH", "/usr/bin",
        "--setenv", "LC_ALL", "C", "--setenv", "TMPDIR", TF_SANDBOX_JOB);
    add_host(arguments, config->cc);
    ADD(arguments, "--ro-bind", arguments->wabt, TF_SANDBOX_WABT, "--perms", "0555", "--ro-bind-data",
        arguments->program, TF_SANDBOX_CHILD, "--size", arguments->size, "--tmpfs", TF_SANDBOX_JOB, "--remount-ro",
        "/", "--chdir", TF_SANDBOX_JOB, "--seccomp", arguments->filter, TF_SANDBOX_CHILD);
    arguments->list[arguments->count] = NULL;
}

/* ---- between fork and exec: async-signal-safe calls only ---- */

/* Never raises what the parent was given. */
static bool set_limit(int resource, uint64_t value)
{
    struct rlimit limit;
    if (getrlimit((enum __rlimit_resource)resource, &limit) != 0)
        return false;
    limit.rlim_max = value < limit.rlim_max ? value : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit((enum __rlimit_resource)resource, &limit) == 0;
}

static bool set_limits(const struct tf_limits *limits)
{
    return set_limit(RLIMIT_CPU, limits->build_cpu_seconds) && set_limit(RLIMIT_AS, limits->build_memory_bytes) &&
           set_limit(RLIMIT_FSIZE, limits->build_file_bytes) && set_limit(RLIMIT_CORE, 0) &&
           set_limit(RLIMIT_NOFILE, OPEN_FILES) && set_limit(RLIMIT_STACK, STACK_BYTES);
}

/* Makes `fds` the descriptors 0, 1, … and closes all others. */
static bool place_descriptors(const int *fds, size_t count)
{
    int high[DESCRIPTORS_MAX];
    for (size_t i = 0; i < count; i++)
        if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 2 * DESCRIPTORS_MAX)) < 0)
            return false;
    for (size_t i = 0; i < count; i++)
        if (dup2(high[i], (int)i) < 0)
            return false;
    return syscall(SYS_close_range, (unsigned)count, ~0u, 0) == 0;
}

/* System calls, not the library's functions: those would have all the parent's threads, which are not here, do the same
 * and wait for them. */
static bool become_nobody(void)
{
    if (geteuid() != 0)
        return true;
    return syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0 &&
           syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0;
}

/* Away from the terminal, if any: what is bubblewrap's --new-session, but with a say in the new session's share. The
 * kernel may schedule whole sessions against one another (autogroups), each by a priority of its own. */
static bool leave_session(bool is_background)
{
    if (setsid() < 0)
        return false;
    if (!is_background)
        return true;
    struct sched_param const none = {0};
    int const fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* else there are no autogroups */
        (void)!write(fd, "19", 2);
        close(fd);
    }
    return setpriority(PRIO_PROCESS, 0, 19) == 0 && sched_setscheduler(0, SCHED_IDLE, &none) == 0;
}

static _Noreturn void enter(const char *bwrap, const struct arguments *arguments, const int *fds, size_t fd_count,
                            const struct tf_sandbox_config *config)
{
    static const char failure[] = "the sandbox cannot be prepared";
    char *const environment[] = {NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (leave_session(config->is_background) && place_descriptors(fds, fd_count) && become_nobody() &&
        set_limits(config->limits)) {
        /* bubblewrap asks for the same, but the parent may be gone by then. A change of user would undo it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execve(bwrap, (char *const *)arguments->list, environment);
    }
    (void)!write(TF_JOB_FD_LOG, failure, sizeof(failure) - 1);
    _exit(127);
}

/* ---- the parent ---- */

static const char *find_bwrap(void)
{
    static const char *const places[] = {"/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

/* The child is process 1 of a namespace, and its /proc tells of that: bubblewrap looks its own child up there. A raw
 * call, which the library does not know of: what the child does until exec is system calls alone. -1 where we may
 * not. */
static pid_t clone_apart(void)
{
    pid_t const pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0 && (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
                     mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0))
        _exit(127);
    return pid;
}

static bool may_be_apart;

/* Tried once, before anything depends on it: a container's root may make namespaces, but not mount. */
static void try_apart(void)
{
    int status = 1;
    pid_t const pid = clone_apart();
    if (pid == 0)
        _exit(0);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    may_be_apart = pid > 0 && status == 0;
}

/* Where we may, bubblewrap becomes process 1 of a namespace around its own: when it is killed in the middle of setting
 * up, the process that it was setting up goes with it, which else would wait for it for good. */
static pid_t fork_apart(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, try_apart);
    return may_be_apart ? clone_apart() : fork();
}

/* The program's bytes with a file offset of their own: two builds may start at once. */
static int reopen(int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int tf_sandbox_start(const struct tf_sandbox_config *config, struct tf_sandbox *ret_sandbox, struct tf_error *error)
{
    struct arguments arguments;
    int fds[DESCRIPTORS_MAX];
    size_t const count = config->fd_count + 2;
    const char *const bwrap = find_bwrap();
    if (bwrap == NULL)
        return tf_error_set(error, TF_ERR_TOOLCHAIN,
                            "there is no bubblewrap: install the package bubblewrap (nothing is built outside it)");
    if (count > DESCRIPTORS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "too many descriptors for the sandbox");
    memcpy(fds, config->fds, config->fd_count * sizeof(*fds));
    fds[count - 2] = reopen(config->program_fd);
    fds[count - 1] = tf_sandbox_filter();
    make_arguments(config, (int)count - 2, (int)count - 1, &arguments);
    pid_t const pid = fds[count - 2] >= 0 && fds[count - 1] >= 0 ? fork_apart() : -1;
    if (pid == 0)
        enter(bwrap, &arguments, fds, count, config);
    int const saved = errno;
    for (size_t i = count - 2; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = saved;
    if (pid < 0)
        return tf_error_system(error, "starting the sandbox");
    ret_sandbox->pid = pid;
    return 0;
}

static uint64_t to_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * TF_NS_PER_S + (uint64_t)time.tv_usec * 1000;
}

static int reap(struct tf_sandbox *sandbox)
{
    struct rusage usage = {0};
    int status = 0;
    while (wait4(sandbox->pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    sandbox->cpu_ns = to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
    sandbox->pid = 0;
    return status;
}

/* The sandbox's process 1: the only child that bubblewrap has. 0: there is none yet, or none any more. */
static pid_t find_first_process(pid_t bwrap)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", bwrap, bwrap);
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t const got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0)
        close(fd);
    return got > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* False where there is none. The number is looked up again behind the descriptor, which stands for one process only: it
 * may have ended, and its number be another's. */
static bool kill_first_process(pid_t bwrap)
{
    pid_t const first = find_first_process(bwrap);
    int const fd = first > 0 ? (int)syscall(SYS_pidfd_open, first, 0) : -1;
    bool const is_killed = fd >= 0 && find_first_process(bwrap) == first &&
                           syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    if (fd >= 0)
        close(fd);
    return is_killed;
}

/* At most `most_ms`. */
static bool ends_within(pid_t pid, int most_ms)
{
    struct pollfd item = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    bool const has_ended = item.fd >= 0 && poll(&item, 1, most_ms) == 1;
    if (item.fd >= 0)
        close(item.fd);
    return has_ended;
}

int tf_sandbox_end(struct tf_sandbox *sandbox)
{
    if (sandbox->pid <= 0)
        return 0;
    /* The death of process 1 takes all others along, and bubblewrap, which waits for it, tells us what they used.
     * Bubblewrap's own death takes process 1 along, but nobody learns what it used. */
    if (!kill_first_process(sandbox->pid) || !ends_within(sandbox->pid, END_MS))
        kill(sandbox->pid, SIGKILL);
    return reap(sandbox);
}

int tf_sandbox_wait(struct tf_sandbox *sandbox, uint64_t deadline_ns, const int *cancel_fd, int *ret_status)
{
    int const fd = (int)syscall(SYS_pidfd_open, sandbox->pid, 0);
    int code = fd >= 0 ? 1 : TF_ERR_TIMEOUT;
    while (code > 0) {
        uint64_t const now = tf_clock_ns();
        struct pollfd items[2] = {{.fd = fd, .events = POLLIN},
                                  {.fd = cancel_fd != NULL ? *cancel_fd : -1, .events = POLLIN}};
        int const left_ms = now < deadline_ns ? (int)((deadline_ns - now) / TF_NS_PER_MS) + 1 : 0;
        int const ready = poll(items, 2, left_ms);
        if (ready > 0)
            code = items[0].revents != 0 ? 0 : TF_ERR_CANCELLED;
        else if ((ready == 0 && now >= deadline_ns) || (ready < 0 && errno != EINTR))
            code = TF_ERR_TIMEOUT;
    }
    if (fd >= 0)
        close(fd);
    *ret_status = code == 0 ? reap(sandbox) : tf_sandbox_end(sandbox);
    return code;
}
