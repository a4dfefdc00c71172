#include "h2o-handler/confine.h"

#include <stdio.h>

#include "base/confine.h"
#include "base/error.h"
#include "h2o-handler/worker.h"

int tf_worker_confine_files(const struct tf_worker_config *config, struct tf_error *error)
{
    char hot[4096], roots[4096];
    snprintf(hot, sizeof(hot), "%s/hot", config->cache_folder);
    snprintf(roots, sizeof(roots), "%s/roots", config->cache_folder);
    struct tf_confine_path const paths[] = {{config->root, false}, {hot, false}, {roots, false}};
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
    "recvmsg", "write", "writev", "sendmsg", "sendto", "shutdown", "close", "fcntl", "setsockopt", "getsockopt",
    "getsockname", "getpeername", "poll", "ppoll", "ioctl",
    /* loading: routes, artifacts, images, static files */
    "openat", "openat2", "fstat", "newfstatat", "statx", "stat", "lstat", "pread64", "lseek", "readlink", "readlinkat",
    "getdents64", "access", "faccessat", "faccessat2", "dup", "memfd_create", "ftruncate", "pwrite64", "sendfile",
    /* memory: slots, dlopen, malloc */
    "mmap", "munmap", "mprotect", "madvise", "mremap", "brk",
    /* time, threads, signals */
    "clock_gettime", "gettimeofday", "time", "clock_nanosleep", "nanosleep", "timer_settime", "timer_delete", "futex",
    "sched_yield", "sched_getaffinity",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "getpid", "gettid", "tgkill",
    "set_robust_list", "rseq", "getrandom", "exit", "exit_group", "membarrier", "getrusage",
};

int tf_worker_confine_calls(struct tf_error *error)
{
    return tf_confine_calls(allowed_calls, sizeof(allowed_calls) / sizeof(allowed_calls[0]), error);
}
