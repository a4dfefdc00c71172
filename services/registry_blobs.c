#include "services/registry_blobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "services/registry_json.h"

/* A blob is sent in pieces of this, so that what breaks costs no more than one. */
#define CHUNK_BYTES ((uint64_t)16 << 20)
#define CHUNK_MOST ((uint64_t)256 << 20)
/* How often a registry may lose one upload. */
#define RESUMES_MOST 8

/* ---- manifests ---- */

int tf_registry_get_manifest(struct tf_registry *registry, const char *reference, struct tf_buffer *json,
                             struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "GET",
                                            .accept = TF_OCI_TYPE_MANIFEST ", " TF_OCI_TYPE_INDEX,
                                            .body_fd = -1,
                                            .into_fd = -1,
                                            .into = json};
    char hex[TF_HASH_HEX_BYTES];
    uint8_t digest[TF_HASH_BYTES];
    tf_registry_url(registry, &exchange, "manifests/%s", reference);
    int result = tf_registry_exchange(registry, &exchange, error);
    if (result == 0 && exchange.status != 200)
        result = tf_registry_wrong_status(exchange.status, "what is asked for", error);
    if (result != 0)
        return result;
    tf_hash_bytes(json->bytes, json->length, digest);
    tf_hash_hex(digest, hex);
    if (strncmp(reference, "sha256:", 7) == 0 && strcmp(reference + 7, hex) != 0)
        return tf_error_set(error, TF_ERR_CORRUPT, "the registry's manifest has another hash than was asked for");
    return 0;
}

int tf_registry_put_manifest(struct tf_registry *registry, const char *tag, const char *type,
                             const struct tf_buffer *json, struct tf_registry_item *item, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "PUT",
                                            .content_type = type,
                                            .body = json->bytes,
                                            .body_bytes = json->length,
                                            .body_fd = -1,
                                            .into_fd = -1};
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(json->bytes, json->length, digest);
    tf_hash_hex(digest, item->manifest);
    item->manifest_bytes = json->length;
    tf_registry_url(registry, &exchange, "manifests/%s%s", tag[0] != '\0' ? "" : "sha256:",
                    tag[0] != '\0' ? tag : item->manifest);
    int const result = tf_registry_exchange(registry, &exchange, error);
    if (result == 0 && exchange.status != 201)
        return tf_registry_wrong_status(exchange.status, "a manifest that is sent", error);
    return result;
}

/* ---- blobs ---- */

int tf_registry_has_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, bool *ret_has,
                         struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "HEAD", .body_fd = -1, .into_fd = -1};
    tf_registry_url(registry, &exchange, "blobs/sha256:%s", sha256);
    int const result = tf_registry_exchange(registry, &exchange, error);
    if (result != 0)
        return result;
    if (exchange.status != 200 && exchange.status != 404)
        return tf_registry_wrong_status(exchange.status, "a look for a blob", error);
    *ret_has = exchange.status == 200 && (exchange.length == bytes || exchange.length == UINT64_MAX);
    return 0;
}

static bool has_hash(int fd, const char *sha256, uint64_t bytes)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    uint64_t found = 0;
    if (tf_hash_file(fd, digest, &found) != 0)
        return false;
    tf_hash_hex(digest, hex);
    return found == bytes && strcmp(hex, sha256) == 0;
}

int tf_registry_get_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, uint64_t offset, int fd,
                         uint64_t *ret_end, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "GET",
                                            .body_fd = -1,
                                            .into_fd = fd,
                                            .from = offset <= bytes ? offset : 0,
                                            .most = bytes};
    int result = 0;
    exchange.got = exchange.from;
    if (exchange.from < bytes) {
        tf_registry_url(registry, &exchange, "blobs/sha256:%s", sha256);
        result = tf_registry_exchange(registry, &exchange, error);
    }
    /* Some give no ranges: then all of it. */
    if (result == 0 && exchange.from > 0 && exchange.from < bytes && exchange.status == 416) {
        exchange.from = 0;
        tf_registry_url(registry, &exchange, "blobs/sha256:%s", sha256);
        result = tf_registry_exchange(registry, &exchange, error);
    }
    if (result == 0 && exchange.from < bytes && exchange.status != 200 && exchange.status != 206)
        return tf_registry_wrong_status(exchange.status, "a blob", error);
    if (result != 0 && result != TF_ERR_LIMIT)
        return result; /* what has come stays, to be gone on with */
    if (result == 0 && exchange.got < bytes)
        result = tf_error_set(error, TF_ERR_SYSTEM, "the registry sent %llu of %llu bytes of a blob",
                              (unsigned long long)exchange.got, (unsigned long long)bytes);
    else if (result == 0 && !has_hash(fd, sha256, bytes))
        result = tf_error_set(error, TF_ERR_CORRUPT, "the registry sent a blob that has another hash");
    if ((result == TF_ERR_LIMIT || result == TF_ERR_CORRUPT) && ftruncate(fd, 0) != 0)
        return tf_error_system(error, "a blob cannot be written");
    *ret_end = exchange.got;
    return result;
}

/* ---- uploads ---- */

struct upload {
    struct tf_registry *registry;
    const char *sha256;
    uint64_t bytes, done, chunk;
    int fd;
    const void *memory;
    char url[TF_REGISTRY_URL_BYTES]; /* where the next piece goes */
    uint32_t resumes;
};

/* The place that the registry names for what follows. */
static int take_location(struct upload *upload, struct tf_registry_exchange *exchange, struct tf_error *error)
{
    if (!tf_registry_follow(upload->registry, exchange))
        return tf_error_set(error, TF_ERR_REFUSED, "the registry names no place to send a blob to");
    memcpy(upload->url, exchange->url, sizeof(upload->url));
    return 0;
}

static int begin(struct upload *upload, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "POST", .body = "", .body_fd = -1, .into_fd = -1};
    tf_registry_url(upload->registry, &exchange, "blobs/uploads/");
    int result = tf_registry_exchange(upload->registry, &exchange, error);
    if (result == 0 && exchange.status != 202)
        result = tf_registry_wrong_status(exchange.status, "a blob that is to be sent", error);
    if (result != 0)
        return result;
    unsigned long long const least = strtoull(exchange.chunk_least, NULL, 10);
    upload->chunk = least <= CHUNK_BYTES ? CHUNK_BYTES : least <= CHUNK_MOST ? least : CHUNK_MOST;
    upload->done = 0;
    return take_location(upload, &exchange, error);
}

static void set_body(const struct upload *upload, struct tf_registry_exchange *exchange, uint64_t bytes)
{
    exchange->body = upload->memory != NULL ? (const char *)upload->memory + upload->done : NULL;
    exchange->body_fd = upload->fd;
    exchange->body_offset = upload->done;
    exchange->body_bytes = bytes;
    exchange->content_type = "application/octet-stream";
}

/* Asks how far the upload got. A registry that cannot say, or has forgotten it, gets all of it again. */
static int ask_progress(struct upload *upload, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "GET", .body_fd = -1, .into_fd = -1};
    unsigned long long first, last;
    memcpy(exchange.url, upload->url, sizeof(exchange.url));
    int const result = tf_registry_exchange(upload->registry, &exchange, error);
    if (result != 0)
        return result;
    /* "0-0" is what some say of one that has not begun, and others of one byte: it is sent from the start. */
    if (exchange.status != 204 || sscanf(exchange.range, "%llu-%llu", &first, &last) != 2 || first != 0 ||
        last >= upload->bytes || last == 0)
        return begin(upload, error);
    upload->done = last + 1;
    return exchange.location[0] != '\0' ? take_location(upload, &exchange, error) : 0;
}

/* After something broke. Waits for a moment, so that it may get well. */
static bool may_go_on(struct upload *upload)
{
    if (upload->registry->setup->tries == 1 || ++upload->resumes > RESUMES_MOST)
        return false;
    usleep(100000 * upload->resumes);
    return true;
}

/* What broke, and an upload that the registry does not know any more, as it was started anew meanwhile. */
static bool may_be_cured(int result)
{
    return result == TF_ERR_SYSTEM || result == TF_ERR_TIMEOUT || result == TF_ERR_NOT_FOUND;
}

static int send_chunk(struct upload *upload, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "PATCH", .is_once = true, .into_fd = -1};
    uint64_t const left = upload->bytes - upload->done;
    uint64_t const bytes = left < upload->chunk ? left : upload->chunk;
    set_body(upload, &exchange, bytes);
    memcpy(exchange.url, upload->url, sizeof(exchange.url));
    snprintf(exchange.content_range, sizeof(exchange.content_range), "%llu-%llu", (unsigned long long)upload->done,
             (unsigned long long)(upload->done + bytes - 1));
    int result = tf_registry_exchange(upload->registry, &exchange, error);
    if (result == 0 && exchange.status == 202) {
        upload->done += bytes;
        return take_location(upload, &exchange, error);
    }
    if (result == 0)
        result = tf_registry_wrong_status(exchange.status, "a piece of a blob", error);
    /* Some of it may have arrived, and a registry may put a piece behind another without a look at its place. */
    return (exchange.status == 416 || may_be_cured(result)) && may_go_on(upload) ? ask_progress(upload, error) : result;
}

static int send_last(struct upload *upload, struct tf_error *error)
{
    struct tf_registry_exchange exchange = {.method = "PUT", .is_once = true, .into_fd = -1};
    set_body(upload, &exchange, upload->bytes - upload->done);
    if (exchange.body_bytes == 0)
        exchange.body = "";
    int const length = snprintf(exchange.url, sizeof(exchange.url), "%s%cdigest=sha256:%s", upload->url,
                                strchr(upload->url, '?') != NULL ? '&' : '?', upload->sha256);
    if (length >= (int)sizeof(exchange.url))
        return tf_error_set(error, TF_ERR_REFUSED, "the registry names too long a place to send a blob to");
    int const result = tf_registry_exchange(upload->registry, &exchange, error);
    if (result == 0 && exchange.status != 201)
        return tf_registry_wrong_status(exchange.status, "a blob that was sent", error);
    return result;
}

int tf_registry_put_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, int fd, const void *memory,
                         struct tf_error *error)
{
    struct upload upload = {.registry = registry, .sha256 = sha256, .bytes = bytes, .fd = fd, .memory = memory};
    int result = begin(&upload, error);
    for (bool is_sent = false; result == 0 && !is_sent;) {
        /* What fits into one piece goes with the last request, whole. */
        while (result == 0 && bytes > upload.chunk && upload.done < bytes)
            result = send_chunk(&upload, error);
        if (result == 0) {
            result = send_last(&upload, error);
            is_sent = result == 0;
        }
        if (may_be_cured(result) && may_go_on(&upload))
            result = begin(&upload, error);
    }
    return result;
}
