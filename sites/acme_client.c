/* One order: uacme in a process of its own, and what its hook asks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/error.h"
#include "sites/certificates_internal.h"

#define HOOK_FD 3
#define ADOPTION_NS (2 * TF_NS_PER_S)
#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* ---- starting ---- */

static int spawn(const struct tf_certificates *service, char *const *arguments, int hook_fd, int said_fd,
                 pid_t *ret_pid)
{
    char variable[64];
    snprintf(variable, sizeof(variable), TF_ACME_HOOK_VARIABLE "=%d", HOOK_FD);
    char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", variable, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    /* Before descriptors are moved: the folder's may be where another goes. The two others lie above those three. */
    posix_spawn_file_actions_addfchdir_np(&actions, service->folder_fd);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, said_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, said_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, hook_fd, HOOK_FD);
    int const failure = posix_spawn(ret_pid, TF_ACME_CLIENT, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/* `new` fails where the account exists, and `update`, which is how to find out, where it does not: an authority may
 * have forgotten an account whose key is here. So they take turns, beginning with what the key says. */
static const char *account_command(const struct tf_acme *acme)
{
    bool const has_key = faccessat(acme->folder_fd, "private/key.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return has_key && acme->account_failures % 2 == 0 ? "update" : "new";
}

int tf_acme_client_start(struct tf_certificates *service, struct tf_acme_job *job, struct tf_acme_host *host,
                         struct tf_error *error)
{
    const struct tf_acme_config *const config = &service->config->acme;
    char *arguments[20] = {"uacme", "-c", service->acme.folder, "-a", (char *)(uintptr_t)config->directory,
                           "-y",    "-t", "EC",                 "-b", "256"};
    size_t count = 10;
    int pair[2], said[2];
    *job = (struct tf_acme_job){.host = host, .hook_fd = -1, .said_fd = -1};
    if (host == NULL) {
        arguments[count++] = (char *)(uintptr_t)account_command(&service->acme);
        if (config->email != NULL)
            arguments[count++] = (char *)(uintptr_t)config->email;
    } else {
        arguments[count++] = "-f"; /* when is ours to know */
        arguments[count++] = "-o";
        arguments[count++] = "-h";
        arguments[count++] = (char *)(uintptr_t)config->hook;
        arguments[count++] = "issue";
        arguments[count++] = host->name;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return tf_error_system(error, "cannot make a socket for a hook");
    if (pipe2(said, O_CLOEXEC) != 0) {
        close(pair[0]);
        close(pair[1]);
        return tf_error_system(error, "cannot make a pipe for " TF_ACME_CLIENT);
    }
    int const failure = spawn(service, arguments, pair[1], said[1], &job->pid);
    close(pair[1]);
    close(said[1]);
    if (failure != 0) {
        close(pair[0]);
        close(said[0]);
        job->pid = 0;
        errno = failure;
        return tf_error_system(error, "cannot start " TF_ACME_CLIENT);
    }
    job->hook_fd = pair[0];
    job->said_fd = said[0];
    fcntl(job->said_fd, F_SETFL, O_NONBLOCK);
    job->until_ns = tf_clock_ns() + config->order_s * TF_NS_PER_S;
    return TF_OK;
}

/* ---- the hook ---- */

static void drop_challenge(struct tf_certificates *service, struct tf_acme_job *job)
{
    service->is_changed |= job->token[0] != '\0' || job->alpn != NULL;
    job->token[0] = '\0';
    tf_certificate_destroy(&job->alpn);
    job->awaits = false;
}

static void reply(const struct tf_acme_job *job, bool accepts)
{
    char const word = accepts ? '1' : '0';
    send(job->hook_fd, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Base64 of 32 bytes, in the alphabet for URLs and without padding. */
static bool decode_digest(const char *text, uint8_t ret_digest[TF_HASH_BYTES])
{
    uint8_t padded[44], bytes[33];
    if (strlen(text) != 43)
        return false;
    for (size_t i = 0; i < 43; i++)
        padded[i] = (uint8_t)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    padded[43] = '=';
    if (EVP_DecodeBlock(bytes, padded, sizeof(padded)) != (int)sizeof(bytes))
        return false;
    memcpy(ret_digest, bytes, TF_HASH_BYTES);
    return true;
}

static bool begin(struct tf_certificates *service, struct tf_acme_job *job, const char *type, const char *token,
                  const char *answer)
{
    enum tf_acme_challenge const wanted = service->config->acme.challenge;
    uint8_t digest[TF_HASH_BYTES];
    struct tf_error error;
    if (strcmp(type, "http-01") == 0 && wanted != TF_ACME_TLS_ALPN_01) {
        if (token[0] == '\0' || strspn(token, BASE64URL) != strlen(token) || strlen(token) >= sizeof(job->token) ||
            strspn(answer, BASE64URL ".") != strlen(answer) || strlen(answer) >= sizeof(job->answer))
            return false;
        memcpy(job->token, token, strlen(token) + 1);
        memcpy(job->answer, answer, strlen(answer) + 1);
        return true;
    }
    return strcmp(type, "tls-alpn-01") == 0 && wanted != TF_ACME_HTTP_01 && decode_digest(answer, digest) &&
           tf_certificate_make_challenge(job->host->name, digest, &job->alpn, &error) == TF_OK;
}

/* Five strings, each with its NUL: method, type, host, token, answer. */
static bool take_apart(const char *message, size_t length, const char *ret_words[5])
{
    size_t count = 0;
    if (length == 0 || message[length - 1] != '\0')
        return false;
    for (const char *at = message; at < message + length; at += strlen(at) + 1) {
        if (count == 5)
            return false;
        ret_words[count++] = at;
    }
    return count == 5;
}

void tf_acme_client_hook(struct tf_certificates *service, struct tf_acme_job *job)
{
    char message[TF_ACME_HOOK_BYTES];
    const char *words[5];
    ssize_t const got = recv(job->hook_fd, message, sizeof(message), MSG_DONTWAIT);
    if (got == 0) { /* the client has ended, or is about to */
        close(job->hook_fd);
        job->hook_fd = -1;
        return;
    }
    if (got < 0)
        return;
    if (job->host == NULL || !take_apart(message, (size_t)got, words) || strcmp(words[2], job->host->name) != 0) {
        reply(job, false);
        return;
    }
    drop_challenge(service, job);
    if (strcmp(words[0], "begin") != 0) {
        reply(job, true);
    } else if (!begin(service, job, words[1], words[3], words[4])) {
        reply(job, false);
    } else {
        /* The authority may ask at once, and any worker. */
        service->is_changed = true;
        job->awaits = true;
        job->awaits_serial = service->serial + 1;
        job->awaits_until_ns = tf_clock_ns() + ADOPTION_NS;
    }
}

static void answer_when_adopted(struct tf_certificates *service, struct tf_acme_job *job)
{
    bool const is_over = tf_clock_ns() >= job->awaits_until_ns;
    for (uint32_t i = 0; i < service->config->worker_count; i++) {
        bool const is_late = service->is_there[i] && service->adopted[i] < job->awaits_serial;
        if (is_late && !is_over)
            return;
        if (is_late)
            service->is_there[i] = false; /* until it speaks again */
    }
    job->awaits = false;
    reply(job, true);
}

/* ---- what it says ---- */

/* Passes it on, and keeps the last line. The client is bounded in time, so what it says is bounded by what we read. */
static void listen_to(struct tf_acme_job *job)
{
    char text[1024];
    for (int i = 0; i < 16 && job->said_fd != -1; i++) {
        ssize_t const got = read(job->said_fd, text, sizeof(text));
        if (got < 0)
            return;
        if (got == 0) {
            close(job->said_fd);
            job->said_fd = -1;
            return;
        }
        fwrite(text, 1, (size_t)got, stderr);
        for (ssize_t at = 0; at < got; at++) {
            if (text[at] != '\n') {
                if (job->line_length < sizeof(job->line) - 1)
                    job->line[job->line_length++] = text[at];
            } else if (job->line_length > 0) {
                job->line[job->line_length] = '\0';
                memcpy(job->said, job->line, job->line_length + 1);
                job->line_length = 0;
            }
        }
    }
}

/* Before `said` is used: it has something to say of every end. */
static void hear_the_end(const struct tf_certificates *service, struct tf_acme_job *job, int status)
{
    listen_to(job);
    if (job->said_fd != -1) /* something that it started lives on */
        close(job->said_fd);
    job->said_fd = -1;
    if (WIFSIGNALED(status) && tf_clock_ns() >= job->until_ns)
        snprintf(job->said, sizeof(job->said), "it took longer than %u s (tls.order_s)",
                 service->config->acme.order_s);
    else if (job->said[0] == '\0')
        snprintf(job->said, sizeof(job->said), "the client ended with status %d and said nothing", status);
}

/* ---- the end ---- */

static void collect(struct tf_certificates *service, struct tf_acme_job *job)
{
    int status;
    if (waitpid(job->pid, &status, WNOHANG) != job->pid) {
        if (tf_clock_ns() >= job->until_ns)
            kill(-job->pid, SIGKILL);
        return;
    }
    job->pid = 0;
    hear_the_end(service, job, status);
    if (job->hook_fd != -1)
        close(job->hook_fd);
    drop_challenge(service, job);
    tf_acme_ended(service, job, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void tf_acme_client_turn(struct tf_certificates *service)
{
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST; i++) {
        struct tf_acme_job *const job = &service->acme.jobs[i];
        if (job->pid == 0)
            continue;
        listen_to(job);
        if (job->awaits)
            answer_when_adopted(service, job);
        collect(service, job);
    }
}

void tf_acme_client_stop(struct tf_certificates *service)
{
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST; i++) {
        struct tf_acme_job *const job = &service->acme.jobs[i];
        if (job->pid == 0)
            continue;
        kill(-job->pid, SIGKILL);
        waitpid(job->pid, NULL, 0);
        job->pid = 0;
        if (job->hook_fd != -1)
            close(job->hook_fd);
        if (job->said_fd != -1)
            close(job->said_fd);
        tf_certificate_destroy(&job->alpn);
    }
}
