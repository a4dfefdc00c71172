#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

/* Newer than Debian 12's headers; values are the kernel's ABI. */
#define ACCESS_FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define ACCESS_NET_BIND_TCP (1ull << 0)  /* ABI 4 */
#define ACCESS_NET_CONNECT_TCP (1ull << 1)

struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net; /* ABI 4; a kernel before it wants the shorter structure */
};

int tf_confine_no_new_privileges(struct tf_error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return tf_error_system(error, "giving up new privileges");
    return 0;
}

static int drop_capabilities(struct tf_error *error)
{
    for (int capability = 0; capability <= 63; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
            return tf_error_system(error, "dropping capability %d", capability);
    /* The C library has no wrapper for it, and a library for two structures would be one more to trust. */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct const none[2] = {{0}, {0}};
    if (syscall(SYS_capset, &header, none) != 0)
        return tf_error_system(error, "dropping capabilities");
    return 0;
}

static const struct passwd *find_user(const char *user, struct tf_error *error)
{
    errno = 0;
    const struct passwd *const entry = getpwnam(user);
    if (entry == NULL)
        tf_error_set(error, TF_ERR_USAGE, "no such user: %s", user);
    return entry;
}

int tf_confine_user(const char *user, const char *other, struct tf_error *error)
{
    gid_t groups[2];
    size_t count = 1;
    const struct passwd *entry = other != NULL ? find_user(other, error) : NULL;
    if (other != NULL && entry == NULL)
        return TF_ERR_USAGE;
    if (entry != NULL)
        groups[count++] = entry->pw_gid;
    entry = find_user(user, error);
    if (entry == NULL)
        return TF_ERR_USAGE;
    uid_t const uid = entry->pw_uid;
    gid_t const gid = groups[0] = entry->pw_gid;
    if (setgroups(count, groups) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return tf_error_system(error, "becoming user %s", user);
    if (uid != 0 && setuid(0) == 0)
        return tf_error_set(error, TF_ERR_SYSTEM, "became user %s, but could become root again", user);
    /* A change of user makes a process undumpable, and its /proc files root's. Keep them ours: the loader opens
     * /proc/self/fd. No other user gains by it. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return drop_capabilities(error);
}

static uint64_t handled_access(long abi)
{
    uint64_t access = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                      LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                      LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                      LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (abi >= 2)
        access |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        access |= ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        access |= ACCESS_FS_IOCTL_DEV;
    return access;
}

static int allow_path(int ruleset, const struct tf_confine_path *path, uint64_t handled, struct tf_error *error)
{
    int const fd = open(path->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : tf_error_system(error, "opening %s", path->path);
    struct stat status;
    uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (path->write)
        access = handled & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    if (path->execute)
        access |= LANDLOCK_ACCESS_FS_EXECUTE;
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode)) /* the others are a folder's */
        access &= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  ACCESS_FS_TRUNCATE;
    struct landlock_path_beneath_attr const rule = {.allowed_access = access & handled, .parent_fd = fd};
    long const failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int const reason = errno;
    close(fd);
    errno = reason;
    return failed != 0 ? tf_error_system(error, "allowing %s", path->path) : 0;
}

static int confine_files(const struct tf_confine_path *paths, size_t count, uint64_t handled_net,
                         struct tf_error *error)
{
    long const abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "this kernel has no Landlock");
    uint64_t const handled = handled_access(abi);
    struct ruleset const attributes = {
        .handled_fs = handled,
        .handled_net = abi >= 4 ? handled_net : 0,
    };
    size_t const bytes = abi >= 4 ? sizeof(attributes) : sizeof(attributes.handled_fs);
    int const ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, bytes, 0);
    if (ruleset < 0)
        return tf_error_system(error, "making a Landlock ruleset");
    int result = tf_confine_no_new_privileges(error);
    for (size_t i = 0; i < count && result == 0; i++)
        result = allow_path(ruleset, &paths[i], handled, error);
    if (result == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        result = tf_error_system(error, "entering a Landlock ruleset");
    close(ruleset);
    return result;
}

int tf_confine_files(const struct tf_confine_path *paths, size_t count, struct tf_error *error)
{
    return confine_files(paths, count, ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP, error);
}

int tf_confine_files_connecting(const struct tf_confine_path *paths, size_t count, struct tf_error *error)
{
    return confine_files(paths, count, ACCESS_NET_BIND_TCP, error);
}

int tf_confine_calls(const char *const *names, size_t count, struct tf_error *error)
{
    return tf_confine_calls_where(names, count, NULL, 0, error);
}

int tf_confine_calls_where(const char *const *names, size_t count, const struct tf_confine_rule *rules,
                           size_t rule_count, struct tf_error *error)
{
    static const char *const deadly[] = {"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev"};
    scmp_filter_ctx const filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "making a system call filter");
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Sorted by number as a tree: a long list costs a request's few calls next to nothing. */
    if (failed == 0)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; i < count && failed == 0; i++) {
        int const number = seccomp_syscall_resolve_name(names[i]);
        if (number != __NR_SCMP_ERROR && number >= 0)
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    for (size_t i = 0; i < rule_count && failed == 0; i++) {
        int const number = seccomp_syscall_resolve_name(rules[i].name);
        if (number != __NR_SCMP_ERROR && number >= 0)
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                      SCMP_CMP(rules[i].argument, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].value));
    }
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]) && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, seccomp_syscall_resolve_name(deadly[i]), 0);
    if (failed == 0)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed != 0) {
        errno = -failed;
        return tf_error_system(error, "loading the system call filter");
    }
    return 0;
}
