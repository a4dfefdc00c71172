/* Addresses and listening sockets. */
#include "cli/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define TAKEN_WAIT_MS 3000u
#define TAKEN_POLL_MS 20

static void write_text(struct tf_address *address)
{
    char host[INET6_ADDRSTRLEN + 16] = "", port[8] = "";
    getnameinfo((const struct sockaddr *)&address->address, address->length, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    if (address->address.ss_family == AF_INET6)
        snprintf(address->text, sizeof(address->text), "[%s]:%s", host, port);
    else
        snprintf(address->text, sizeof(address->text), "%s:%s", host, port);
}

static int resolve(const char *text, const char *host, const char *port, struct tf_address *ret_address,
                   struct tf_error *error)
{
    struct addrinfo const hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int const failure = getaddrinfo(host[0] != '\0' ? host : "0.0.0.0", port, &hints, &found);
    if (failure != 0)
        return tf_error_set(error, TF_ERR_USAGE, "cannot listen on '%.60s': %s", text, gai_strerror(failure));
    memset(ret_address, 0, sizeof(*ret_address));
    memcpy(&ret_address->address, found->ai_addr, found->ai_addrlen);
    ret_address->length = found->ai_addrlen;
    freeaddrinfo(found);
    write_text(ret_address);
    return TF_OK;
}

int tf_address_parse(const char *text, struct tf_address *ret_address, struct tf_error *error)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    const char *begin = text;
    bool const is_bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (is_bracketed) {
        begin++;
        length -= 2;
    }
    size_t const digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
    bool const is_fine = colon != NULL && length < sizeof(host) && digits > 0 && digits < 6 &&
                         colon[1 + digits] == '\0' && strtol(colon + 1, NULL, 10) <= 65535 &&
                         (is_bracketed || memchr(begin, ':', length) == NULL);
    if (!is_fine)
        return tf_error_set(error, TF_ERR_USAGE,
                            "cannot listen on '%.60s'; an address is HOST:PORT, as 127.0.0.1:8080 or [::1]:8080", text);
    memcpy(host, begin, length);
    host[length] = '\0';
    return resolve(text, host, colon + 1, ret_address, error);
}

static int open_socket(const struct tf_address *address, bool is_shared)
{
    int const one = 1;
    int const fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    bool is_fine = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0;
    if (is_shared)
        is_fine = is_fine && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0;
    if (address->address.ss_family == AF_INET6)
        is_fine = is_fine && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0;
    if (is_fine && bind(fd, (const struct sockaddr *)&address->address, address->length) == 0)
        return fd;
    int const saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bind_error(const struct tf_address *address, struct tf_error *error)
{
    if (errno == EADDRINUSE)
        return tf_error_set(error, TF_ERR_BUSY,
                            "cannot listen on %s: something else does; stop it, or choose another address",
                            address->text);
    return tf_error_system(error, "cannot listen on %s", address->text);
}

/* With SO_REUSEPORT a second server of the same user would quietly take half of the connections: first ask without it
 * whether the address is free. Port 0 becomes one. */
static int ask_whether_free(struct tf_address *address, struct tf_error *error)
{
    int const probe = open_socket(address, false);
    if (probe < 0)
        return bind_error(address, error);
    address->length = sizeof(address->address);
    bool const has_name = getsockname(probe, (struct sockaddr *)&address->address, &address->length) == 0;
    int const result = has_name && listen(probe, 1) == 0 ? TF_OK : bind_error(address, error);
    close(probe);
    return result;
}

/* The children of a supervisor that was killed hold its sockets a moment longer. */
static int wait_until_free(struct tf_address *address, struct tf_error *error)
{
    int result = ask_whether_free(address, error);
    if (result == TF_ERR_BUSY)
        fprintf(stderr, "terrafirma: %s is taken; waiting up to %u s for it\n", address->text, TAKEN_WAIT_MS / 1000);
    for (unsigned waited_ms = 0; result == TF_ERR_BUSY && waited_ms < TAKEN_WAIT_MS; waited_ms += TAKEN_POLL_MS) {
        poll(NULL, 0, TAKEN_POLL_MS);
        result = ask_whether_free(address, error);
    }
    return result;
}

int tf_listeners_bind(struct tf_address *address, uint32_t count, int *ret_fds, struct tf_error *error)
{
    int const taken = wait_until_free(address, error);
    if (taken != TF_OK)
        return taken;
    write_text(address);
    for (uint32_t i = 0; i < count; i++) {
        int const fd = open_socket(address, true);
        if (fd < 0 || listen(fd, SOMAXCONN) != 0) {
            int const result = bind_error(address, error);
            if (fd >= 0)
                close(fd);
            while (i > 0)
                close(ret_fds[--i]);
            return result;
        }
        ret_fds[i] = fd;
    }
    return TF_OK;
}
