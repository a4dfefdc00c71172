/* What a build cannot do: the hook (compile_hook.c) runs in place of the compiler's child and tries. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "compiler/internal.h"
#include "tests/check.h"

#define PREFIX (getenv("TF_WABT_PREFIX") != NULL ? getenv("TF_WABT_PREFIX") : TF_WABT_PREFIX_DEFAULT)

static struct tf_compiler make_compiler(void)
{
    struct tf_compiler compiler = {.wabt_prefix = PREFIX,
                                   .program_fd = open(TF_BINARY_DIR "/compile_hook", O_RDONLY | O_CLOEXEC),
                                   .job = {.magic = TF_JOB_MAGIC, .cc = {"/usr/bin/gcc"}, .limits = TF_LIMITS_DEFAULT}};
    return compiler;
}

/* One attempt; the code it ended with. */
static int attempt(struct tf_compiler *compiler, const char *name, struct tf_error *error)
{
    struct tf_process process;
    struct tf_record record;
    *error = (struct tf_error){0};
    int code = tf_process_start(compiler, TF_JOB_JUDGE, NULL, (const uint8_t *)name, strlen(name), &process, error);
    CHECK_MESSAGE(code == 0, "%s", error->text);
    if (code != 0)
        return code;
    code = tf_process_receive(&process, TF_RECORD_DONE, &record, error);
    /* The pipe ends when nobody holds it: not one process is left. */
    struct pollfd item = {.fd = process.records_fd, .events = POLLIN};
    char rest[8192];
    tf_sandbox_end(&process.sandbox);
    do
        poll(&item, 1, 10000);
    while (read(process.records_fd, rest, sizeof(rest)) > 0);
    CHECK(item.revents & POLLHUP);
    tf_process_end(&process);
    return code;
}

static void finds_nothing(const char *name, void (*set)(struct tf_limits *limits))
{
    struct tf_compiler compiler = make_compiler();
    struct tf_error error;
    if (set != NULL)
        set(&compiler.job.limits);
    CHECK(attempt(&compiler, name, &error) == TF_ERR_REFUSED);
    CHECK_MESSAGE(strcmp(error.text, "found: nothing") == 0, "%s: %s", name, error.text);
    close(compiler.program_fd);
}

static void reads_nothing_of_the_host(void)
{
    finds_nothing("read", NULL);
}

static void writes_nothing_outside(void)
{
    finds_nothing("write", NULL);
}

static void reaches_no_network(void)
{
    finds_nothing("network", NULL);
}

static void gains_no_rights(void)
{
    finds_nothing("rights", NULL);
}

static void sees_no_other_process_or_descriptor(void)
{
    int const root = open("/", O_RDONLY | O_DIRECTORY);
    int const extra = fcntl(root, F_DUPFD, 300); /* not close-on-exec, and no number that the job's get */
    CHECK(root >= 0 && extra >= 300);
    CHECK(setenv("TF_SECRET", "secret", 1) == 0);
    finds_nothing("others", NULL);
    unsetenv("TF_SECRET");
    close(extra);
    close(root);
}

static void few_processes(struct tf_limits *limits)
{
    limits->build_processes = 16;
}

static void small_files(struct tf_limits *limits)
{
    limits->build_file_bytes = 4 << 20;
}

static void little_memory(struct tf_limits *limits)
{
    limits->build_memory_bytes = 256 << 20;
}

static void limits_hold(void)
{
    finds_nothing("fork", few_processes);
    finds_nothing("disk", small_files);
    finds_nothing("memory", little_memory);
}

static void leaves_no_process(void)
{
    finds_nothing("daemon", NULL);
}

static _Noreturn void start_and_wait(void)
{
    struct tf_compiler const compiler = make_compiler();
    struct tf_process process;
    struct tf_error error;
    tf_process_launch(&compiler, &compiler.job.limits, false, &process, &error);
    for (;;)
        pause();
}

/* Like fork, but that the child is process 1 of a namespace and sees that in its /proc. -1 where we may not. */
static pid_t start_in_namespaces(void)
{
    pid_t const pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0 && (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
                     mount("proc", "/proc", "proc", 0, NULL) != 0))
        _exit(77);
    return pid;
}

static bool has_ended_well(pid_t pid)
{
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* As in a container: /proc knows few processes, and bubblewrap finds only itself there. */
static void works_in_a_namespace_of_processes(void)
{
    pid_t const outer = start_in_namespaces();
    if (outer == 0) {
        struct tf_compiler compiler = make_compiler();
        struct tf_error error;
        for (int i = 0; i < 4; i++) { /* small numbers are nobody's */
            pid_t const pid = fork();
            if (pid == 0)
                _exit(0);
            waitpid(pid, NULL, 0);
        }
        int const code = attempt(&compiler, "others", &error);
        fprintf(stderr, "%s\n", error.text);
        _exit(code == TF_ERR_REFUSED && strcmp(error.text, "found: nothing") == 0 ? 0 : 1);
    }
    int status = 77 << 8;
    CHECK(outer < 0 || waitpid(outer, &status, 0) == outer);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        fprintf(stderr, "skipped: no namespaces to try it in\n");
    else
        CHECK(WEXITSTATUS(status) == 0);
}

/* Killed at any moment of the set-up. What it leaves is handed to us, as far as it does not end by itself. */
static void outlives_no_parent(void)
{
    pid_t const probe = start_in_namespaces();
    if (probe == 0)
        _exit(0);
    if (!has_ended_well(probe)) {
        fprintf(stderr, "skipped: we may not put a namespace around bubblewrap's own\n");
        return;
    }
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (unsigned i = 0; i < 200; i++) {
        pid_t const parent = fork();
        if (parent == 0)
            start_and_wait();
        usleep(i % 100 * 100);
        kill(parent, SIGKILL);
    }
    uint64_t const until_ns = tf_clock_ns() + 30 * TF_NS_PER_S;
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0 && tf_clock_ns() < until_ns)
        if (ended == 0)
            usleep(1000);
    CHECK(ended == -1 && errno == ECHILD);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void ends_with(const char *name, int code, const char *text)
{
    struct tf_compiler compiler = make_compiler();
    struct tf_error error;
    compiler.job.limits.build_wall_seconds = 1;
    CHECK(attempt(&compiler, name, &error) == code);
    CHECK_MESSAGE(strstr(error.text, text) != NULL, "%s: %s", name, error.text);
    close(compiler.program_fd);
}

/* What a build used is known however it ends: its site is charged for that, and not for having waited. */
static void time_is_accounted(void)
{
    static const struct {
        const char *name;
        bool is_busy;
    } rows[] = {{"spin", true}, {"sleep", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_compiler compiler = make_compiler();
        struct tf_build build = {0};
        struct tf_error error;
        struct tf_build_request const request = {.source = (const uint8_t *)rows[i].name,
                                                 .source_bytes = strlen(rows[i].name)};
        compiler.job.limits.build_cpu_seconds = 1;
        compiler.job.limits.build_wall_seconds = rows[i].is_busy ? 60 : 2;
        CHECK(tf_compiler_build_request(&compiler, &request, &build, &error) != 0);
        /* The limit is the kernel's, which counts in ticks: a second of it may be less by a better clock. */
        CHECK_MESSAGE(rows[i].is_busy == (build.cpu_ns >= 400 * TF_NS_PER_MS), "%s: %llu ns", rows[i].name,
                      (unsigned long long)build.cpu_ns);
        CHECK(build.cpu_ns != 0);
        tf_build_dispose(&build);
        close(compiler.program_fd);
    }
}

static void time_is_bounded(void)
{
    ends_with("sleep", TF_ERR_TIMEOUT, "build_wall_seconds (1)");
    ends_with("spin", TF_ERR_TIMEOUT, "build_wall_seconds (1)");
    struct tf_compiler compiler = make_compiler();
    struct tf_error error;
    compiler.job.limits.build_cpu_seconds = 1;
    CHECK(attempt(&compiler, "spin", &error) == TF_ERR_TOOLCHAIN);
    CHECK_MESSAGE(strstr(error.text, "died") != NULL, "%s", error.text);
    close(compiler.program_fd);
}

static void its_words_are_not_trusted(void)
{
    ends_with("lies", TF_ERR_TOOLCHAIN, "?[2Jred?line?");
    ends_with("nonsense", TF_ERR_TOOLCHAIN, "nonsense");
    ends_with("half", TF_ERR_TOOLCHAIN, "died");
    ends_with("crash", TF_ERR_TOOLCHAIN, "died");
}

static void its_products_are_bounded(void)
{
    struct tf_compiler compiler = make_compiler();
    struct tf_process process;
    struct tf_record record;
    struct tf_error error = {0};
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, 1 << 20);
    CHECK(tf_process_start(&compiler, TF_JOB_INSPECT, NULL, (const uint8_t *)"much", 4, &process, &error) == 0);
    CHECK(tf_process_receive(&process, TF_RECORD_DONE, &record, &error) == 0);
    CHECK(tf_process_finish(&process, &error) == 0);
    CHECK(tf_process_product(&process, TF_JOB_FD_TEXT, &bytes, &error) == TF_ERR_LIMIT);
    CHECK(tf_process_product(&process, TF_JOB_FD_OBJECT, &bytes, &error) == 0 && bytes.length == 0);
    tf_process_end(&process);
    tf_buffer_dispose(&bytes);
    close(compiler.program_fd);
}

static bool note_key(void *context, const char *key)
{
    snprintf(context, TF_HASH_HEX_BYTES, "%s", key);
    return false;
}

/* A module takes over the child that judges it, which then reports somebody else's canonical module and an object of
 * its own. The object is not looked at; what is reported goes to a second child, which sees nothing else; and whatever
 * the artifact would take from the report beside the canonical module makes another key. */
static void attack_judge_claims_anothers_module(void)
{
    static const char *const lies[] = {"claim truth", "claim flags", "claim rows", "claim world", "claim memory",
                                       "claim shim"};
    enum { COUNT = sizeof(lies) / sizeof(lies[0]) };
    struct tf_compiler compiler = make_compiler();
    char keys[COUNT][TF_HASH_HEX_BYTES];
    for (size_t i = 0; i < COUNT; i++) {
        struct tf_build build = {0};
        struct tf_error error = {0};
        keys[i][0] = 0;
        int const code = tf_compiler_build(&compiler, (const uint8_t *)lies[i], strlen(lies[i]), note_key, keys[i],
                                           &build, &error);
        CHECK_MESSAGE(code == TF_ERR_REFUSED && strcmp(error.text, "found: nothing") == 0, "%s: %d %s", lies[i], code,
                      error.text);
        CHECK(keys[i][0] != 0);
        for (size_t j = 0; j < i; j++)
            CHECK_MESSAGE(strcmp(keys[i], keys[j]) != 0, "%s has the key of %s", lies[i], lies[j]);
    }
    close(compiler.program_fd);
}

/* Started as root, bubblewrap itself is nobody's: what the kernel counts and checks outside is not root either. */
static void root_is_left_behind(void)
{
    struct tf_compiler compiler = make_compiler();
    struct tf_process process;
    struct tf_error error = {0};
    char path[64], line[256];
    bool is_right = false;
    CHECK(tf_process_start(&compiler, TF_JOB_JUDGE, NULL, (const uint8_t *)"sleep", 5, &process, &error) == 0);
    snprintf(path, sizeof(path), "/proc/%d/status", process.sandbox.pid);
    FILE *const status = fopen(path, "r");
    unsigned const wanted = geteuid() == 0 ? 65534 : geteuid();
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        unsigned real, effective, saved;
        if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3)
            is_right = real == wanted && effective == wanted && saved == wanted;
    }
    CHECK(is_right);
    if (status != NULL)
        fclose(status);
    tf_process_end(&process);
    close(compiler.program_fd);
}

/* A descriptor of the only child of `pid`, or -1. */
static int open_child_of(pid_t pid)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    FILE *const children = fopen(path, "r");
    if (children == NULL)
        return -1;
    if (fscanf(children, "%d", &child) != 1)
        child = 0;
    fclose(children);
    return child != 0 ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
}

/* The builder is killed in the middle of a build: the sandbox goes with it. */
static void dies_with_its_parent(void)
{
    int words[2];
    pid_t sandbox = 0;
    CHECK(pipe(words) == 0);
    pid_t const builder = fork();
    if (builder == 0) {
        struct tf_compiler compiler = make_compiler();
        struct tf_process process = {0};
        struct tf_error error;
        tf_process_start(&compiler, TF_JOB_JUDGE, NULL, (const uint8_t *)"sleep", 5, &process, &error);
        (void)!write(words[1], &process.sandbox.pid, sizeof(pid_t));
        for (;;)
            pause();
    }
    CHECK(read(words[0], &sandbox, sizeof(sandbox)) == sizeof(sandbox) && sandbox > 0);
    int fds[2] = {(int)syscall(SYS_pidfd_open, sandbox, 0), open_child_of(sandbox)};
    CHECK(fds[0] >= 0 && fds[1] >= 0);
    kill(builder, SIGKILL);
    waitpid(builder, NULL, 0);
    for (int i = 0; i < 2; i++) {
        struct pollfd item = {.fd = fds[i], .events = POLLIN};
        CHECK(fds[i] >= 0 && poll(&item, 1, 10000) == 1);
        close(fds[i]);
    }
    close(words[0]);
    close(words[1]);
}

/* The processes of the spare sandboxes, which are this test's only children. */
static size_t list_spares(pid_t *list, size_t room)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *const children = fopen(path, "r");
    while (children != NULL && count < room && fscanf(children, "%d", &list[count]) == 1)
        count++;
    if (children != NULL)
        fclose(children);
    return count;
}

/* A sandbox that was started before there was a job for it shows no more than another. */
static void spares_are_sandboxes_too(void)
{
    static const char *const names[] = {"others", "read", "write", "network", "rights", "memory"};
    struct tf_compiler compiler = make_compiler();
    struct tf_error error;
    compiler.spares = tf_spares_create();
    CHECK(!tf_compiler_is_prepared(&compiler));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pid_t before[4], left[4];
        tf_compiler_prepare(&compiler);
        CHECK(tf_compiler_is_prepared(&compiler));
        CHECK(list_spares(before, 4) == 2);
        CHECK(attempt(&compiler, names[i], &error) == TF_ERR_REFUSED);
        CHECK_MESSAGE(strcmp(error.text, "found: nothing") == 0, "%s: %s", names[i], error.text);
        /* One of them did it, and is gone: none serves twice. */
        CHECK(list_spares(left, 4) == 1 && left[0] == before[1]);
    }
    tf_spares_destroy(&compiler.spares);
    CHECK(waitpid(-1, NULL, 0) < 0);
    close(compiler.program_fd);
}

/* A spare one may die of anything while it waits: the next build takes no notice. */
static void a_dead_spare_is_nobodys_failure(void)
{
    struct tf_compiler compiler = make_compiler();
    struct tf_error error;
    pid_t list[4];
    compiler.spares = tf_spares_create();
    tf_compiler_prepare(&compiler);
    size_t const count = list_spares(list, 4);
    CHECK(count == 2);
    for (size_t i = 0; i < count; i++)
        kill(list[i], SIGKILL);
    CHECK(attempt(&compiler, "others", &error) == TF_ERR_REFUSED && strcmp(error.text, "found: nothing") == 0);
    tf_spares_destroy(&compiler.spares);
    CHECK(waitpid(-1, NULL, 0) < 0);
    close(compiler.program_fd);
}

static void a_broken_sandbox_is_explained(void)
{
    struct tf_compiler compiler = make_compiler();
    struct tf_process process;
    struct tf_error error = {0};
    compiler.wabt_prefix = "/nonexistent";
    CHECK(tf_process_start(&compiler, TF_JOB_JUDGE, NULL, NULL, 0, &process, &error) == TF_ERR_TOOLCHAIN);
    CHECK_MESSAGE(strstr(error.text, "nonexistent") != NULL && strstr(error.text, "user namespaces") != NULL, "%s",
                  error.text);
    close(compiler.program_fd);
}

/* Where the kernel gives out no user namespaces, nothing is built. */
static void without_user_namespaces_nothing_runs(void)
{
    pid_t const pid = fork();
    if (pid == 0) {
        /* In a user namespace of our own the number of further ones can be set to none, without touching the host. */
        struct tf_compiler compiler = make_compiler();
        struct tf_process process;
        struct tf_error error = {0};
        char map[64];
        snprintf(map, sizeof(map), "1000 %u 1\n", geteuid());
        if (syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */) != 0)
            _exit(77);
        int fd = open("/proc/self/uid_map", O_WRONLY);
        if (fd < 0 || write(fd, map, strlen(map)) < 0)
            _exit(77);
        close(fd);
        fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY);
        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(77);
        close(fd);
        int const code = tf_process_start(&compiler, TF_JOB_JUDGE, NULL, NULL, 0, &process, &error);
        fprintf(stderr, "%s\n", error.text);
        _exit(code == TF_ERR_TOOLCHAIN && strstr(error.text, "user namespaces") != NULL ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    if (WEXITSTATUS(status) == 77)
        fprintf(stderr, "skipped: no user namespace to try it in\n");
}

TEST_MAIN(TEST(reads_nothing_of_the_host), TEST(writes_nothing_outside), TEST(reaches_no_network),
          TEST(gains_no_rights), TEST(sees_no_other_process_or_descriptor), TEST(limits_hold),
          TEST(leaves_no_process), TEST(time_is_accounted), TEST(time_is_bounded), TEST(its_words_are_not_trusted),
          TEST(its_products_are_bounded), TEST(attack_judge_claims_anothers_module), TEST(root_is_left_behind),
          TEST(dies_with_its_parent), TEST(works_in_a_namespace_of_processes), TEST(outlives_no_parent),
          TEST(spares_are_sandboxes_too), TEST(a_dead_spare_is_nobodys_failure), TEST(a_broken_sandbox_is_explained),
          TEST(without_user_namespaces_nothing_runs))
