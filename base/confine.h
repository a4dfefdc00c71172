/*
 * Giving up rights for good: mechanisms; which rights a process gives up is decided where it starts.
 *
 * Order matters: user first (it needs privileges), then files, then system calls. Files: this thread and what it starts
 * later, so before any thread is made. System calls: all threads of the process.
 */
#ifndef TF_BASE_CONFINE_H
#define TF_BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

struct tf_confine_path {
    const char *path; /* a file or folder; what lies below is meant too */
    bool write;       /* may also be made, changed and removed */
    bool execute;     /* programs may be started */
};

/* No program that is started later gains rights (set-user-ID, file capabilities). */
int tf_confine_no_new_privileges(struct tf_error *error);

/* Becomes `user` for good: groups, gid, uid, no capabilities. `other`: a user whose group it gets besides its own, or
 * NULL. Only as root. Errors: USAGE (no such user), SYSTEM. */
int tf_confine_user(const char *user, const char *other, struct tf_error *error);

/* Landlock: from now on only these paths can be opened; nothing else can be executed; from ABI 4 on no TCP connection
 * can be made and no port bound. A path that does not exist is left out. Errors: NOT_FOUND (the kernel has no Landlock:
 * the caller says so and goes on), SYSTEM. */
int tf_confine_files(const struct tf_confine_path *paths, size_t count, struct tf_error *error);
/* The same for a process that makes connections: it binds no port, but connects. */
int tf_confine_files_connecting(const struct tf_confine_path *paths, size_t count, struct tf_error *error);

/* seccomp: from now on only the named system calls succeed, the others fail with EPERM; execve, execveat, ptrace and
 * process_vm_{readv,writev} kill the process. `names` are as in syscalls(2); a name that this system does not know is
 * left out. Errors: SYSTEM, NOT_FOUND (the kernel has no filters). */
int tf_confine_calls(const char *const *names, size_t count, struct tf_error *error);

/* A call that is allowed where (argument & mask) == value; several rules of one call are alternatives. The kernel
 * reads an argument whole: a 32-bit one wants a mask of 32 bits. */
struct tf_confine_rule {
    const char *name;
    unsigned argument; /* 0 … 5 */
    uint64_t mask, value;
};

/* The same with rules on top; a call that has rules is not among the names. */
int tf_confine_calls_where(const char *const *names, size_t count, const struct tf_confine_rule *rules,
                           size_t rule_count, struct tf_error *error);

#endif
