/* Each right is given up in a child process, which then tries to use it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "tests/check.h"

static char folder[] = "/tmp/tf-confine-XXXXXX";
static char inside[64], file[80], written[80];

static int in_child(int (*body)(void))
{
    pid_t const child = fork();
    if (child == 0)
        _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Exit codes of the bodies: 0 as promised, 77 not on this kernel, others say which promise broke. */
static int body_files(void)
{
    struct tf_error error;
    struct tf_confine_path const paths[] = {{inside, false}, {"/tmp/tf-confine-absent", false}};
    int const result = tf_confine_files(paths, 2, &error);
    if (result == TF_ERR_NOT_FOUND)
        return 77;
    if (result != 0)
        return 1;
    if (open(file, O_RDONLY | O_CLOEXEC) < 0)
        return 2;
    if (open(written, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
        return 3;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 4;
    if (open(file, O_RDWR | O_CLOEXEC) >= 0)
        return 5;
    execl("/bin/true", "true", (char *)NULL);
    return errno == EACCES ? 0 : 6;
}

static int body_files_write(void)
{
    struct tf_error error;
    struct tf_confine_path const paths[] = {{inside, true}};
    int const result = tf_confine_files(paths, 1, &error);
    if (result == TF_ERR_NOT_FOUND)
        return 77;
    if (result != 0)
        return 1;
    int const fd = open(written, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return 2;
    return unlink(written) == 0 ? 0 : 3;
}

static const char *const few[] = {"read", "write", "exit_group", "exit", "close", "rt_sigreturn", "not_a_call"};

static int body_calls(void)
{
    struct tf_error error;
    if (tf_confine_calls(few, sizeof(few) / sizeof(few[0]), &error) != 0)
        return 1;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM)
        return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 3;
    return close(0) == 0 ? 0 : 4;
}

/* A signal to itself and memory to read are allowed, the same calls with other arguments are not. */
static int body_calls_where(void)
{
    struct tf_error error;
    const struct tf_confine_rule rules[] = {
        {"tgkill", 0, UINT32_MAX, (uint64_t)getpid()},
        {"mmap", 2, PROT_EXEC, 0},
        {"mmap", 2, PROT_EXEC | PROT_WRITE, PROT_EXEC},
    };
    pid_t const parent = getppid(), self = getpid();
    if (tf_confine_calls_where(few, sizeof(few) / sizeof(few[0]), rules, 3, &error) != 0)
        return 1;
    if (syscall(SYS_tgkill, self, self, 0) != 0)
        return 2;
    if (syscall(SYS_tgkill, parent, parent, 0) == 0 || errno != EPERM)
        return 3;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return 4;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 0
                                                                                                                  : 5;
}

static int body_exec(void)
{
    struct tf_error error;
    if (tf_confine_calls(few, sizeof(few) / sizeof(few[0]), &error) != 0)
        return 1;
    execl("/bin/true", "true", (char *)NULL);
    return 2;
}

static int body_user(void)
{
    struct tf_error error;
    if (tf_confine_user("nobody", NULL, &error) != 0)
        return 1;
    if (getuid() == 0 || geteuid() == 0 || getgid() == 0 || setuid(0) == 0)
        return 2;
    if (open("/etc/shadow", O_RDONLY | O_CLOEXEC) >= 0)
        return 3;
    return chown("/tmp", 0, 0) == 0 ? 4 : 0;
}

static int body_no_user(void)
{
    struct tf_error error;
    return tf_confine_user("tf-no-such-user", NULL, &error) == TF_ERR_USAGE ? 0 : 1;
}

static void test_files(void)
{
    int const result = in_child(body_files), writing = in_child(body_files_write);
    CHECK_MESSAGE(result == 0 || result == 77, "%d", result);
    CHECK_MESSAGE(writing == 0 || writing == 77, "%d", writing);
    if (result == 77)
        fprintf(stderr, "this kernel has no Landlock: not tested\n");
}

static void test_calls(void)
{
    CHECK_MESSAGE(in_child(body_calls) == 0, "%d", in_child(body_calls));
    CHECK_MESSAGE(in_child(body_calls_where) == 0, "%d", in_child(body_calls_where));
    CHECK_MESSAGE(in_child(body_exec) == 1000 + SIGSYS, "%d", in_child(body_exec));
}

static void test_user(void)
{
    CHECK(in_child(body_no_user) == 0);
    if (getuid() == 0)
        CHECK_MESSAGE(in_child(body_user) == 0, "%d", in_child(body_user));
}

int main(int argc, char **argv)
{
    static const struct tf_check_test tests[] = {TEST(test_files), TEST(test_calls), TEST(test_user)};
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    snprintf(file, sizeof(file), "%s/file", inside);
    snprintf(written, sizeof(written), "%s/written", inside);
    int const made = mkdir(inside, 0700) == 0 ? open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    int const failed = made < 0 || tf_check_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    close(made);
    unlink(file);
    rmdir(inside);
    rmdir(folder);
    return failed;
}
