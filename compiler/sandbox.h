/*
 * The sandbox a build runs in: bubblewrap with every namespace unshared, no network, no capability, user nobody, a
 * system-call filter, resource limits, and nothing of the host to be read but compilers.
 *
 * What is inside:
 *     /usr/bin /usr/lib /usr/lib64 /usr/libexec   the host's, read-only (bin, lib, lib64 beside them as symlinks)
 *     /usr/local/{bin,lib,libexec}                only where the configured C compiler lies there
 *     /wabt                                       the wabt prefix, read-only
 *     /terrafirma-compiler                        a copy of the child program
 *     /job                                        the only writable place: a private tmpfs of build_file_bytes
 * No /etc, /home, /root, /var, /proc, /dev, /sys, /usr/share, /usr/include, /usr/src, /usr/sbin. No folder of the host
 * is shared for writing: what goes in and out are descriptors that the parent makes, so nothing is left behind
 * whatever dies, two builds cannot meet, and a full disk is not a build's doing.
 *
 * What lies below /usr/bin and /usr/lib on a Debian machine is the content of public packages. An operator who keeps
 * secrets in files there (readable by others) shows them to whatever takes over a build; it has no way to send them
 * anywhere but into the artifact of its own module.
 *
 * Started as root, bubblewrap itself runs as nobody (65534): inside a user namespace root would be mapped to nobody,
 * but files and the kernel's limits would still see root. It then has a process namespace around it besides, with a
 * /proc of its own, so that nothing is left whatever is killed when. Started as somebody else, or where that cannot be
 * mounted (containers), there is none: a builder that is killed in the few milliseconds of a sandbox's set-up can leave
 * one waiting process of bubblewrap's, which holds an empty job.
 */
#ifndef TF_COMPILER_SANDBOX_H
#define TF_COMPILER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>

struct tf_sandbox_config {
    const char *wabt_prefix;
    const char *cc[2];      /* absolute, or ""; decide whether /usr/local is there */
    int program_fd;         /* the child program's bytes: a memfd or file, read from its start */
    const int *fds;         /* the child's descriptors 0, 1, … */
    size_t fd_count;
    bool is_background;     /* runs when nobody else wants the core */
    const struct tf_limits *limits;
};

struct tf_sandbox {
    pid_t pid; /* bubblewrap's; 0: none */
    /* Of all processes, once they are gone. Only what has taken over process 1 could keep time of its children from
     * it, by not caring for how they end. */
    uint64_t cpu_ns;
};

/* Starts the program without arguments. Errors: TOOLCHAIN (no bubblewrap), SYSTEM. That the sandbox could not be set up
 * shows later: the program never speaks, and the log says why. */
int tf_sandbox_start(const struct tf_sandbox_config *config, struct tf_sandbox *ret_sandbox, struct tf_error *error);
/* Kills everything inside. What was written into the descriptors may change for another moment: it is not to be used.
 * Waits until they are gone. Tolerates a zeroed sandbox. Returns the wait status. */
int tf_sandbox_end(struct tf_sandbox *sandbox);
/* Waits until no process of it is left (0: the descriptors change no more), or until `deadline_ns` (tf_clock_ns), then
 * as above (TF_ERR_TIMEOUT), or until *cancel_fd (unless NULL) is readable (TF_ERR_CANCELLED). */
int tf_sandbox_wait(struct tf_sandbox *sandbox, uint64_t deadline_ns, const int *cancel_fd, int *ret_status);

/* seccomp.c: a filter program for --seccomp in a sealed memfd; -1 with errno. */
int tf_sandbox_filter(void);

#endif
