#include "cli/registry_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"

#define SOCKET_FD 3

struct tf_registry_client {
    struct tf_registry_setup setup;
    int socket_fd; /* -1: no process */
    pid_t pid;
};

int tf_registry_client_open(const struct tf_registry_setup *setup, struct tf_registry_client **ret_client,
                            struct tf_error *error)
{
    struct tf_registry_client *const client = calloc(1, sizeof(*client));
    if (client == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory");
    client->setup = *setup;
    client->socket_fd = -1;
    *ret_client = client;
    return TF_OK;
}

/* With an empty environment, which may hold more than it is meant to know. */
static int start(struct tf_registry_client *client, struct tf_error *error)
{
    char *arguments[] = {"terrafirma", "_registry", NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        return tf_error_system(error, "cannot make a socket");
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int failure = posix_spawn_file_actions_adddup2(&actions, sockets[1], SOCKET_FD);
    if (failure == 0)
        failure = posix_spawn(&client->pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(sockets[1]);
    client->socket_fd = sockets[0];
    if (failure != 0) {
        close(sockets[0]);
        client->socket_fd = -1;
        errno = failure;
        return tf_error_system(error, "cannot start the process that speaks to the registry");
    }
    if (send(client->socket_fd, &client->setup, sizeof(client->setup), MSG_NOSIGNAL) ==
        (ssize_t)sizeof(client->setup))
        return TF_OK;
    return tf_error_system(error, "cannot speak to the process that speaks to the registry");
}

static void stop(struct tf_registry_client *client)
{
    if (client->socket_fd < 0)
        return;
    close(client->socket_fd);
    client->socket_fd = -1;
    kill(client->pid, SIGKILL);
    while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void tf_registry_client_close(struct tf_registry_client **client)
{
    if (*client == NULL)
        return;
    stop(*client);
    explicit_bzero(&(*client)->setup, sizeof((*client)->setup));
    free(*client);
    *client = NULL;
}

static bool send_request(int socket_fd, const struct tf_registry_request *request, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec piece = {(void *)(uintptr_t)request, sizeof(*request)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*request);
}

/* Until there is an answer or no time left. */
static int wait_for_answer(int socket_fd, uint64_t until_ns)
{
    for (;;) {
        uint64_t const now_ns = tf_clock_ns();
        if (until_ns != 0 && now_ns >= until_ns)
            return 0;
        uint64_t const left_ms = until_ns == 0 ? 60000 : (until_ns - now_ns) / TF_NS_PER_MS + 1;
        struct pollfd other = {.fd = socket_fd, .events = POLLIN};
        int const count = poll(&other, 1, left_ms < 60000 ? (int)left_ms : 60000);
        if (count > 0)
            return 1;
        if (count < 0 && errno != EINTR)
            return -1;
    }
}

static bool is_hash_or_empty(char text[TF_REGISTRY_HASH_BYTES])
{
    text[TF_REGISTRY_HASH_BYTES - 1] = '\0';
    return text[0] == '\0' || tf_hash_is_hex(text);
}

/* The process may have been taken over by what it speaks to. */
static bool is_sane(struct tf_registry_answer *answer)
{
    struct tf_registry_item *const item = &answer->item;
    answer->text[sizeof(answer->text) - 1] = '\0';
    for (char *p = answer->text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    item->sum[sizeof(item->sum) - 1] = '\0';
    return is_hash_or_empty(item->key) && is_hash_or_empty(item->blob) && is_hash_or_empty(item->manifest) &&
           answer->result <= 0 && answer->result >= TF_ERR_TRUST;
}

int tf_registry_call(struct tf_registry_client *client, const struct tf_registry_request *request, int fd,
                     uint64_t until_ns, struct tf_registry_answer *ret_answer, struct tf_error *error)
{
    static const char lost[] = "the process that speaks to the registry ended";
    struct tf_registry_request asked = *request;
    struct tf_registry_answer answer;
    asked.has_fd = fd >= 0;
    int result = client->socket_fd < 0 ? start(client, error) : TF_OK;
    if (result == TF_OK && !send_request(client->socket_fd, &asked, fd))
        result = tf_error_set(error, TF_ERR_SYSTEM, lost);
    int const come = result == TF_OK ? wait_for_answer(client->socket_fd, until_ns) : 0;
    if (result == TF_OK && come == 0)
        result = tf_error_set(error, TF_ERR_TIMEOUT, "the registry did not answer in time");
    else if (result == TF_OK &&
             (come < 0 || recv(client->socket_fd, &answer, sizeof(answer), 0) != (ssize_t)sizeof(answer) ||
              !is_sane(&answer)))
        result = tf_error_set(error, TF_ERR_SYSTEM, lost);
    if (result != TF_OK) {
        stop(client);
        return result;
    }
    if (answer.result != TF_OK)
        return tf_error_set(error, answer.result, "%s", answer.text);
    *ret_answer = answer;
    return TF_OK;
}
