/*
 * How long one thing takes, over and over, one at a time: nanoseconds, a line each.
 *
 *     stopwatch ask PORT          a request for each path that standard input has, on one connection; ends with status
 *                                 1 at the first answer that is not 200
 *     stopwatch spawn N PROGRAM…  N starts of a program, until it ended and its standard output was read
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

static void fail(const char *what)
{
    fprintf(stderr, "stopwatch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in const address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval const patience = {.tv_sec = 30};
    int const fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
        fail("connect");
    return fd;
}

/* Whether the answer has come whole. Small ones do, in one piece or two. */
static bool is_whole(const char *answer, size_t length)
{
    const char *const end = strstr(answer, "\r\n\r\n");
    const char *const field = strcasestr(answer, "\r\ncontent-length:");
    return end != NULL && field != NULL && field < end &&
           length == (size_t)(end + 4 - answer) + strtoul(field + 17, NULL, 10);
}

static void ask(int fd, const char *path)
{
    char request[1024], answer[8192];
    int const size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    size_t length = 0;
    uint64_t const start_ns = tf_clock_ns();
    if (size >= (int)sizeof(request) || write(fd, request, (size_t)size) != size)
        fail("write");
    do {
        ssize_t const more = read(fd, answer + length, sizeof(answer) - 1 - length);
        if (more <= 0)
            fail("no whole answer");
        length += (size_t)more;
        answer[length] = '\0';
    } while (!is_whole(answer, length));
    uint64_t const took_ns = tf_clock_ns() - start_ns;
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) {
        fprintf(stderr, "stopwatch: %s answers %.12s\n", path, answer);
        exit(1);
    }
    printf("%llu\n", (unsigned long long)took_ns);
}

static void spawn(char **words)
{
    int ends[2];
    pid_t child;
    char output[4096];
    posix_spawn_file_actions_t actions;
    size_t length = 0;
    ssize_t more;
    int status = 0;
    uint64_t const start_ns = tf_clock_ns();
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) != 0)
        fail("pipe");
    if ((errno = posix_spawnp(&child, words[0], &actions, NULL, words, environ)) != 0)
        fail(words[0]);
    close(ends[1]);
    while ((more = read(ends[0], output, sizeof(output))) > 0)
        length += (size_t)more;
    if (more < 0 || waitpid(child, &status, 0) != child)
        fail("wait");
    uint64_t const took_ns = tf_clock_ns() - start_ns;
    close(ends[0]);
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0 || length == 0) {
        fprintf(stderr, "stopwatch: %s ended with status %d, and wrote %zu bytes\n", words[0], status, length);
        exit(1);
    }
    printf("%llu\n", (unsigned long long)took_ns);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "ask") == 0) {
        int const fd = connect_to((uint16_t)strtoul(argv[2], NULL, 10));
        char path[512];
        while (fgets(path, sizeof(path), stdin) != NULL) {
            path[strcspn(path, "\n")] = '\0';
            ask(fd, path);
        }
        close(fd);
    } else if (argc >= 4 && strcmp(argv[1], "spawn") == 0) {
        for (unsigned long left = strtoul(argv[2], NULL, 10); left > 0; left--)
            spawn(argv + 3);
    } else {
        fprintf(stderr, "usage: stopwatch ask PORT <PATHS | stopwatch spawn N PROGRAM [ARGUMENT]…\n");
        return 2;
    }
    return 0;
}
