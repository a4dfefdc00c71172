/* The process that speaks to a registry: requests from a socket, one at a time. */
#include "services/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "services/registry_blobs.h"
#include "services/registry_json.h"

/* ---- lists ---- */

static int get_index(struct tf_registry *registry, const char *reference, enum tf_registry_level level,
                     struct tf_registry_item **ret_items, size_t *ret_count, struct tf_error *error)
{
    struct tf_buffer json;
    tf_buffer_init(&json, TF_REGISTRY_MANIFEST_MOST);
    int result = tf_registry_get_manifest(registry, reference, &json, error);
    if (result == 0)
        result = tf_registry_parse_index((const char *)json.bytes, json.length, level, ret_items, ret_count, error);
    tf_buffer_dispose(&json);
    return result;
}

static int list(struct tf_registry *registry, const struct tf_registry_request *request, int fd,
                struct tf_registry_answer *answer, struct tf_error *error)
{
    struct tf_registry_item *pages = NULL, *items = NULL;
    size_t page_count = 0, count = 0;
    int result = get_index(registry, request->reference, TF_REGISTRY_OF_PAGES, &pages, &page_count, error);
    for (size_t i = 0; result == 0 && i < page_count; i++) {
        char reference[TF_REGISTRY_REFERENCE_BYTES];
        snprintf(reference, sizeof(reference), "sha256:%s", pages[i].manifest);
        result = get_index(registry, reference, TF_REGISTRY_OF_PARCELS, &items, &count, error);
        if (result == 0) {
            answer->count += count;
            result = tf_file_write_all(fd, items, count * sizeof(*items), error);
            free(items);
        }
    }
    free(pages);
    return result;
}

static int put_index(struct tf_registry *registry, const struct tf_registry_item *items, size_t count,
                     enum tf_registry_level level, const char *tag, struct tf_registry_item *ret_item,
                     struct tf_error *error)
{
    struct tf_buffer json;
    tf_buffer_init(&json, TF_REGISTRY_MANIFEST_MOST);
    int result = tf_registry_write_index(items, count, level, &json, error);
    if (result == 0)
        result = tf_registry_put_manifest(registry, tag, TF_OCI_TYPE_INDEX, &json, ret_item, error);
    tf_buffer_dispose(&json);
    return result;
}

static int put_list(struct tf_registry *registry, const struct tf_registry_request *request, int fd,
                    struct tf_registry_answer *answer, struct tf_error *error)
{
    struct tf_registry_item *const items = calloc(TF_REGISTRY_PAGE_ITEMS, sizeof(*items));
    struct tf_registry_item pages[TF_REGISTRY_PAGES] = {0};
    size_t page_count = 0;
    int result = 0;
    if (items == NULL)
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory for a list");
    for (uint64_t done = 0; result == 0 && done < request->count;) {
        uint64_t const left = request->count - done;
        size_t const count = left < TF_REGISTRY_PAGE_ITEMS ? (size_t)left : TF_REGISTRY_PAGE_ITEMS;
        size_t const bytes = count * sizeof(*items);
        if (page_count == TF_REGISTRY_PAGES)
            result = tf_error_set(error, TF_ERR_LIMIT, "more compiled functions than a list holds");
        else if (pread(fd, items, bytes, (off_t)(done * sizeof(*items))) != (ssize_t)bytes)
            result = tf_error_set(error, TF_ERR_SYSTEM, "a list cannot be read");
        else
            result = put_index(registry, items, count, TF_REGISTRY_OF_PARCELS, "", &pages[page_count++], error);
        done += count;
    }
    if (result == 0)
        result = put_index(registry, pages, page_count, TF_REGISTRY_OF_PAGES, request->reference, &answer->item, error);
    free(items);
    return result;
}

/* ---- parcels ---- */

static int find(struct tf_registry *registry, const struct tf_registry_request *request,
                struct tf_registry_answer *answer, struct tf_error *error)
{
    struct tf_buffer json;
    char reference[TF_REGISTRY_REFERENCE_BYTES];
    if (request->reference[0] != '\0')
        memcpy(reference, request->reference, sizeof(reference));
    else
        snprintf(reference, sizeof(reference), "sha256:%s", request->item.manifest);
    tf_buffer_init(&json, TF_REGISTRY_MANIFEST_MOST);
    int result = tf_registry_get_manifest(registry, reference, &json, error);
    if (result == 0)
        result = tf_registry_parse_parcel((const char *)json.bytes, json.length, &answer->item, error);
    tf_buffer_dispose(&json);
    if (result == 0 && answer->item.blob_bytes > registry->setup->blob_most)
        result = tf_error_set(error, TF_ERR_LIMIT, "the registry has a compiled function of %llu bytes",
                              (unsigned long long)answer->item.blob_bytes);
    return result;
}

/* A parcel's configuration is the same empty one for all of them. */
static int put_empty(struct tf_registry *registry, struct tf_error *error)
{
    bool has = registry->has_empty;
    uint64_t const bytes = sizeof(TF_OCI_EMPTY) - 1;
    int result = has ? 0 : tf_registry_has_blob(registry, TF_OCI_EMPTY_SHA256, bytes, &has, error);
    if (result == 0 && !has)
        result = tf_registry_put_blob(registry, TF_OCI_EMPTY_SHA256, bytes, -1, TF_OCI_EMPTY, error);
    registry->has_empty = result == 0;
    return result;
}

static int put_parcel(struct tf_registry *registry, const struct tf_registry_request *request,
                      struct tf_registry_answer *answer, struct tf_error *error)
{
    struct tf_buffer json;
    answer->item = request->item;
    tf_buffer_init(&json, TF_REGISTRY_MANIFEST_MOST);
    int result = put_empty(registry, error);
    if (result == 0)
        result = tf_registry_write_parcel(&request->item, &json, error);
    if (result == 0)
        result = tf_registry_put_manifest(registry, request->reference, TF_OCI_TYPE_MANIFEST, &json, &answer->item,
                                          error);
    tf_buffer_dispose(&json);
    return result;
}

/* ---- the loop ---- */

static int serve(struct tf_registry *registry, const struct tf_registry_request *request, int fd,
                 struct tf_registry_answer *answer, struct tf_error *error)
{
    const struct tf_registry_item *const item = &request->item;
    bool has = false;
    int result = TF_OK;
    switch (request->op) {
    case TF_REGISTRY_LIST:
        return list(registry, request, fd, answer, error);
    case TF_REGISTRY_FIND:
        return find(registry, request, answer, error);
    case TF_REGISTRY_GET:
        return tf_registry_get_blob(registry, item->blob, item->blob_bytes, request->offset, fd, &answer->count, error);
    case TF_REGISTRY_HAS:
        result = tf_registry_has_blob(registry, item->blob, item->blob_bytes, &has, error);
        answer->count = has;
        return result;
    case TF_REGISTRY_PUT:
        return tf_registry_put_blob(registry, item->blob, item->blob_bytes, fd, NULL, error);
    case TF_REGISTRY_PUT_PARCEL:
        return put_parcel(registry, request, answer, error);
    case TF_REGISTRY_PUT_LIST:
        return put_list(registry, request, fd, answer, error);
    }
    return tf_error_set(error, TF_ERR_USAGE, "no such request");
}

/* False: the other end is gone, or it is no end of ours. */
static bool receive(int socket_fd, struct tf_registry_request *request, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {request, sizeof(*request)};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got;
    do {
        got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    *ret_fd = -1;
    const struct cmsghdr *const header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
    return got == (ssize_t)sizeof(*request);
}

static int open_registry(const struct tf_registry_setup *setup, struct tf_registry *registry, struct tf_error *error)
{
    char url[TF_REGISTRY_HOST_BYTES + 16];
    const char *why;
    registry->setup = setup;
    snprintf(url, sizeof(url), "%s://%s/", setup->is_plain ? "http" : "https", setup->place.host);
    if (!tf_outbound_read_url(url, &registry->place, &why))
        return tf_error_set(error, TF_ERR_USAGE, "%.100s: %s", setup->place.host, why);
    memcpy(registry->token, setup->token, sizeof(registry->token));
    registry->easy = curl_easy_init();
    return registry->easy != NULL ? TF_OK : tf_error_set(error, TF_ERR_SYSTEM, "libcurl could not be set up");
}

int tf_registry_run(int socket_fd,
                    int (*confine)(void *context, const struct tf_registry_setup *setup, struct tf_error *error),
                    void *context, struct tf_error *error)
{
    static struct tf_registry_setup setup;
    struct tf_registry registry = {.socket_fd = socket_fd};
    struct tf_registry_request request;
    int fd = -1;
    ssize_t const got = recv(socket_fd, &setup, sizeof(setup), 0);
    if (got == 0)
        return TF_OK;
    if (got != (ssize_t)sizeof(setup))
        return tf_error_set(error, TF_ERR_USAGE, "this command is for terrafirma itself");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return tf_error_set(error, TF_ERR_SYSTEM, "libcurl could not be set up");
    int result = open_registry(&setup, &registry, error);
    if (result == TF_OK)
        result = confine(context, &setup, error);
    while (result == TF_OK && receive(socket_fd, &request, &fd)) {
        struct tf_registry_answer answer = {0};
        struct tf_error why = {0};
        answer.result = request.has_fd && fd < 0 ? TF_ERR_USAGE : serve(&registry, &request, fd, &answer, &why);
        memcpy(answer.text, why.text, sizeof(answer.text));
        if (fd >= 0)
            close(fd);
        if (send(socket_fd, &answer, sizeof(answer), MSG_NOSIGNAL) != (ssize_t)sizeof(answer))
            break;
    }
    curl_easy_cleanup(registry.easy);
    explicit_bzero(&setup, sizeof(setup));
    return result;
}

/* Those of the outbound service, what names are resolved with (a thread of libcurl's own), and files at hand. */
const char *const tf_registry_calls[] = {
    /* connections */
    "socket", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "bind", "sendto", "recvfrom",
    "sendmsg", "sendmmsg", "recvmsg", "read", "write", "writev", "readv", "shutdown", "close", "poll", "ppoll", "fcntl",
    "ioctl", "pipe2", "socketpair", "eventfd2",
    /* names, in a thread */
    "clone", "clone3", "set_robust_list", "rseq", "exit", "sched_getaffinity", "prctl",
    /* certificates, and files that were handed over */
    "openat", "fstat", "newfstatat", "stat", "lseek", "getdents64", "access", "faccessat2", "readlink", "pread64",
    "pwrite64", "ftruncate",
    /* memory, time, the rest */
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "clock_gettime", "gettimeofday", "time", "nanosleep",
    "clock_nanosleep", "futex", "sched_yield", "getrandom", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sigaltstack", "restart_syscall", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
    "exit_group",
};
const uint32_t tf_registry_call_count = sizeof(tf_registry_calls) / sizeof(tf_registry_calls[0]);
