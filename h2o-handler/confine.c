#include "h2o-handler/confine.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "h2o-handler/worker.h"

int tf_worker_confine_files(const struct tf_worker_config *config, struct tf_error *error)
{
    char hot[4096], roots[4096], trust[4096];
    snprintf(hot, sizeof(hot), "%s/hot", config->cache_folder);
    snprintf(roots, sizeof(roots), "%s/roots", config->cache_folder);
    if (config->trust_folder != NULL)
        snprintf(trust, sizeof(trust), "%s/public", config->trust_folder);
    else
        snprintf(trust, sizeof(trust), "%s/trust/public", config->cache_folder);
    struct tf_confine_path const paths[] = {{config->root, false}, {hot, false}, {roots, false}, {trust, false}};
    int const result = tf_confine_files(paths, sizeof(paths) / sizeof(paths[0]), error);
    if (result != TF_ERR_NOT_FOUND)
        return result;
    fprintf(stderr, "terrafirma: worker %u: %s: what it may open is not bounded\n", config->index, error->text);
    return 0;
}

/*
 * What stays, and for whom. Absent on purpose: socket and connect, execve, fork and clone (all threads are made),
 * kill, everything that writes, links or removes a file, ptrace, mount, keyctl, bpf, perf_event_open, io_uring.
 */
static const char *const allowed_calls[] = {
    /* the loop and its connections */
    "accept", "accept4", "epoll_wait", "epoll_pwait", "epoll_ctl", "epoll_create1", "read", "readv", "recvfrom",
    "recvmsg", "write", "writev", "sendmsg", "sendto", "shutdown", "close", "setsockopt", "getsockopt",
    "getsockname", "getpeername", "poll", "ppoll",
    /* loading: routes, artifacts, images, static files */
    "openat", "openat2", "fstat", "newfstatat", "statx", "stat", "lstat", "pread64", "preadv2", "lseek", "readlink",
    "readlinkat", "getdents64", "access", "faccessat", "faccessat2", "dup", "memfd_create", "ftruncate", "pwrite64",
    "sendfile",
    /* memory: slots, modules, malloc */
    "munmap", "madvise", "mremap", "brk",
    /* time, threads, signals */
    "clock_gettime", "gettimeofday", "time", "clock_nanosleep", "nanosleep", "timer_settime", "timer_delete", "futex",
    "sched_yield", "sched_getaffinity",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "getpid", "gettid",
    "set_robust_list", "rseq", "getrandom", "exit", "exit_group", "membarrier", "getrusage",
};

int tf_worker_confine_calls(struct tf_error *error)
{
    enum { WRITABLE_CODE = PROT_WRITE | PROT_EXEC };
    /* Other processes of the same user (the builder, other workers) are one signal away; F_SETOWN with F_SETSIG sends
     * signals too, and some ioctls type into the terminal that standard error may be. Memory is never writable and
     * executable at once. */
    const struct tf_confine_rule rules[] = {
        {"tgkill", 0, UINT32_MAX, (uint64_t)getpid()},
        {"fcntl", 1, UINT32_MAX, F_DUPFD_CLOEXEC},
        {"fcntl", 1, UINT32_MAX, F_GETFD},
        {"fcntl", 1, UINT32_MAX, F_SETFD},
        {"fcntl", 1, UINT32_MAX, F_GETFL},
        {"fcntl", 1, UINT32_MAX, F_SETFL},
        {"fcntl", 1, UINT32_MAX, F_ADD_SEALS},
        {"fcntl", 1, UINT32_MAX, F_GET_SEALS},
        {"ioctl", 1, UINT32_MAX, (uint32_t)UFFDIO_REGISTER},
        {"ioctl", 1, UINT32_MAX, (uint32_t)UFFDIO_WRITEPROTECT},
        {"mmap", 2, PROT_EXEC, 0},
        {"mmap", 2, WRITABLE_CODE, PROT_EXEC},
        {"mprotect", 2, PROT_EXEC, 0},
    };
    return tf_confine_calls_where(allowed_calls, sizeof(allowed_calls) / sizeof(allowed_calls[0]), rules,
                                  sizeof(rules) / sizeof(rules[0]), error);
}
