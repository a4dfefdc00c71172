/*
 * Stands in for terrafirma-compiler inside the sandbox and tries what a module that has taken over a compiler would
 * try. The job's source is the name of the attempt; what it found out goes back as the text of a FAILED record (or
 * "nothing" when every attempt was stopped).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/child.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

extern char **environ;

static struct tf_child child;
static char found[TF_ERROR_TEXT_BYTES];

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    size_t const length = strlen(found);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found + length, sizeof(found) - length, format, arguments);
    va_end(arguments);
}

/* ---- attempts ---- */

static void read_host(void)
{
    static const char *const paths[] = {"/etc", "/etc/passwd", "/root", "/home", "/var", "/tmp", "/proc", "/sys",
                                        "/dev", "/dev/null", "/run", "/opt", "/mnt", "/srv", "/boot", "/usr/share",
                                        "/usr/include", "/usr/src", "/usr/sbin", "/usr/local", "/etc/hostname",
                                        "/wabt/../../etc", "/usr/bin/../../etc/passwd"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (access(paths[i], F_OK) == 0)
            note("%s ", paths[i]);
}

static void write_outside(void)
{
    static const char *const paths[] = {"/file", "/usr/bin/file", "/usr/lib/file", "/wabt/file", "/wabt/bin/wasm2c",
                                        "/terrafirma-compiler", "/usr/bin/gcc", "/usr/bin/ld"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (open(paths[i], O_WRONLY | O_CREAT, 0600) >= 0)
            note("%s ", paths[i]);
    if (mount("none", "/usr", "tmpfs", 0, NULL) == 0)
        note("mount ");
    if (chmod("/terrafirma-compiler", 0777) == 0)
        note("chmod ");
    /* Here it may. */
    if (open("/job/file", O_WRONLY | O_CREAT, 0600) < 0)
        note("job ");
}

static void use_network(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK};
    int pair[2];
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (socket(families[i], SOCK_STREAM, 0) >= 0 || socket(families[i], SOCK_DGRAM, 0) >= 0 ||
            errno != EPERM)
            note("family %d ", families[i]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
        note("socketpair ");
}

static void gain_rights(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    if (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534 || getegid() != 65534)
        note("user %d ", getuid());
    if (getgroups(0, NULL) > 1)
        note("groups ");
    if (syscall(SYS_capget, &header, data) != 0 || data[0].effective || data[0].permitted || data[0].inheritable ||
        data[1].effective || data[1].permitted)
        note("capabilities ");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        note("new privileges ");
    if (setuid(0) == 0)
        note("setuid ");
    if (unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0)
        note("unshare ");
    if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) >= 0)
        note("clone ");
    if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
        note("clone3 ");
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
        note("ptrace ");
    if (syscall(SYS_bpf, 0, NULL, 0) >= 0 || errno != EPERM)
        note("bpf ");
    if (syscall(SYS_userfaultfd, 1) >= 0 || errno != EPERM)
        note("userfaultfd ");
    if (syscall(SYS_keyctl, 0, 0) >= 0 || errno != EPERM)
        note("keyctl ");
}

static void see_others(void)
{
    if (getpid() != 1)
        note("pid %d ", getpid());
    for (pid_t pid = 2; pid < 70000; pid++)
        if (kill(pid, 0) == 0 || errno != ESRCH)
            note("%d ", pid);
    for (int fd = TF_JOB_FD_COUNT; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            note("descriptor %d ", fd);
    for (char **variable = environ; *variable != NULL; variable++)
        if (strncmp(*variable, "PATH=", 5) != 0 && strncmp(*variable, "LC_ALL=", 7) != 0 &&
            strncmp(*variable, "TMPDIR=", 7) != 0 && strncmp(*variable, "PWD=", 4) != 0)
            note("%s ", *variable);
    if (pwrite(TF_JOB_FD_JOB, "x", 1, 0) >= 0)
        note("job is writable ");
}

/* At most as many as the limit, this process among them. */
static void fork_much(void)
{
    uint64_t count = 1;
    for (; count < 10000; count++) {
        pid_t const pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        if (pid < 0)
            break;
    }
    if (count > child.job->limits.build_processes)
        note("%llu processes ", (unsigned long long)count);
}

static void fill_disk(void)
{
    static char block[1 << 16];
    uint64_t total = 0, largest = 0;
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 64; i++) {
        char name[32];
        uint64_t size = 0;
        ssize_t got;
        snprintf(name, sizeof(name), "file%d", i);
        int const fd = open(name, O_WRONLY | O_CREAT, 0600);
        while (fd >= 0 && (got = write(fd, block, sizeof(block))) > 0)
            size += (uint64_t)got;
        total += size;
        largest = size > largest ? size : largest;
    }
    if (largest > child.job->limits.build_file_bytes)
        note("file of %llu ", (unsigned long long)largest);
    if (total > child.job->limits.build_file_bytes + (1 << 20))
        note("files of %llu ", (unsigned long long)total);
}

static void take_memory(void)
{
    uint64_t total = 0;
    while (total < (64ull << 30)) {
        if (mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            break;
        total += 1 << 24;
    }
    if (total > child.job->limits.build_memory_bytes)
        note("%llu bytes ", (unsigned long long)total);
}

static void leave_daemon(void)
{
    if (fork() == 0) {
        setsid();
        for (;;)
            pause();
    }
}

static void tell_lies(void)
{
    snprintf(child.error.text, sizeof(child.error.text), "\033[2Jred\nline\x80");
    child.error.code = 12345;
    tf_child_send(&child, TF_RECORD_FAILED);
    _exit(0);
}

static void spin(void)
{
    for (;;)
        __asm__ volatile("");
}

static void sleep_long(void)
{
    for (;;)
        pause();
}

static void talk_nonsense(void)
{
    char bytes[4096];
    memset(bytes, 'x', sizeof(bytes));
    (void)!write(TF_JOB_FD_RECORDS, bytes, sizeof(bytes));
    _exit(0);
}

static void talk_half(void)
{
    (void)!write(TF_JOB_FD_RECORDS, "half", 4);
    _exit(0);
}

static void deliver_much(void)
{
    if (ftruncate(TF_JOB_FD_TEXT, 1 << 24) != 0)
        note("truncate ");
    else
        tf_child_send(&child, TF_RECORD_DONE), _exit(0);
}

/* ---- another's artifact ---- */

/* What a judge that was taken over says of its module: the words behind "claim " in the job. */
static void claim(void)
{
    static const char canonical[] = "canonical";
    const char *const lie = (const char *)child.source + strlen("claim ");
    child.record.memory_pages_max = 1;
    child.record.flags = strncmp(lie, "flags", 5) == 0 ? TF_ABI_START_SNAPSHOT : 0;
    child.record.rows[0] = strncmp(lie, "rows", 4) == 0;
    child.record.world = strncmp(lie, "world", 5) == 0 ? TF_WORLD_TERRARIUM : TF_WORLD_NONE;
    child.record.memory_pages_max = strncmp(lie, "memory", 6) == 0 ? 2 : 1;
    tf_child_deliver(TF_JOB_FD_CANONICAL, canonical, strlen(canonical), NULL);
    tf_child_deliver(TF_JOB_FD_SHIM, "shim", strncmp(lie, "shim", 4) == 0 ? 3 : 4, NULL);
    tf_child_deliver(TF_JOB_FD_OBJECT, "evil", 4, NULL);
    tf_child_deliver(TF_JOB_FD_FUNCTIONS, "evil", 4, NULL);
    tf_child_send(&child, TF_RECORD_JUDGED);
    tf_child_send(&child, TF_RECORD_DONE);
    _exit(0);
}

/* The second child of that build: what is left for it to see of the first and of the tenant's bytes? */
static void build_claimed(void)
{
    static const char canonical[] = "canonical";
    struct stat st;
    if (child.job->source_bytes != strlen(canonical) || memcmp(child.source, canonical, strlen(canonical)) != 0)
        note("source ");
    for (int fd = TF_JOB_FD_LOG; fd < TF_JOB_FD_COUNT; fd++)
        if (fstat(fd, &st) != 0 || st.st_size != 0)
            note("product %d ", fd);
    if (access("/job/unit.c", F_OK) == 0)
        note("files ");
}

static const struct {
    const char *name;
    void (*run)(void);
} attempts[] = {{"read", read_host},     {"write", write_outside}, {"network", use_network}, {"rights", gain_rights},
                {"others", see_others},  {"fork", fork_much},      {"disk", fill_disk},      {"memory", take_memory},
                {"daemon", leave_daemon}, {"lies", tell_lies},     {"spin", spin},           {"sleep", sleep_long},
                {"nonsense", talk_nonsense}, {"half", talk_half},  {"much", deliver_much},   {"crash", abort}};

int main(void)
{
    if (tf_child_open_job(&child) != 0)
        return 1;
    if (tf_child_enter(&child.job->limits, &child.error) == 0) {
        if (child.job->kind == TF_JOB_BUILD)
            build_claimed();
        else if (child.job->source_bytes > 6 && memcmp(child.source, "claim ", 6) == 0)
            claim();
        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
            if (strlen(attempts[i].name) == child.job->source_bytes &&
                memcmp(attempts[i].name, child.source, child.job->source_bytes) == 0)
                attempts[i].run();
        child.error.code = TF_ERR_REFUSED;
        snprintf(child.error.text, sizeof(child.error.text), "found: %.400s", found[0] != 0 ? found : "nothing");
    }
    tf_child_send(&child, TF_RECORD_FAILED);
    return 0;
}
