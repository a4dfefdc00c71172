/*
 * Speaking to an OCI registry (distribution specification 1.1): a process of its own that makes the requests of another
 * one, which keeps its rights to itself.
 *
 * Who wants something (`terrafirma cache push` and `pull`, the builder) starts the process with a socket, says in
 * the first message where the registry is and what it may be told, and then asks one thing at a time. Bytes of
 * blobs go from and to descriptors that come with the request. The process holds the credentials of one registry
 * and nothing else: everything the registry says (headers, JSON, redirects) is judged here, and what comes back
 * over the socket are fixed structures of hashes and numbers, which the asking side judges again. It checks the
 * blobs' hashes, too.
 *
 * What lies in a registry:
 *
 *     parcel    an image manifest of artifactType TF_REGISTRY_TYPE_PARCEL: one layer, a bundle of one artifact and the
 *               index's entries that lead to it (cache/parcel.h); two annotations say which artifact, which entries
 *     list      an image index of pages, each an image index of parcels: a whole cache, by its tag
 *
 * Parcels have tags too, by which a server that misses something finds it: "s-" and the name of an entry of the index
 * (source and compiler, CPU level and flags in it), and for servers without a compiler "p-<source>-v<level>-<profile>".
 */
#ifndef TF_SERVICES_REGISTRY_H
#define TF_SERVICES_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_REGISTRY_TYPE_PARCEL "application/vnd.terrafirma.artifact.v1"
#define TF_REGISTRY_TYPE_LIST "application/vnd.terrafirma.cache.v1"
#define TF_REGISTRY_TYPE_PAGE "application/vnd.terrafirma.cache.page.v1"
#define TF_REGISTRY_TYPE_BUNDLE "application/vnd.terrafirma.bundle.v1+zstd"
#define TF_REGISTRY_KEY "vnd.terrafirma.key"
#define TF_REGISTRY_SUM "vnd.terrafirma.entries"

#define TF_REGISTRY_HOST_BYTES 280
#define TF_REGISTRY_REPOSITORY_BYTES 256
#define TF_REGISTRY_REFERENCE_BYTES 129
#define TF_REGISTRY_HASH_BYTES 65 /* digits, and NUL; all digests are SHA-256 */
#define TF_REGISTRY_SUM_BYTES 33
#define TF_REGISTRY_USER_BYTES 256
#define TF_REGISTRY_SECRET_BYTES 8192

/* Of the registry's word: a manifest, a page, the number of pages. */
#define TF_REGISTRY_MANIFEST_MOST ((size_t)4 << 20)
#define TF_REGISTRY_PAGE_ITEMS 4096
#define TF_REGISTRY_PAGES 256

struct tf_registry_place {
    char host[TF_REGISTRY_HOST_BYTES]; /* with its port, if it was said */
    char repository[TF_REGISTRY_REPOSITORY_BYTES];
    char tag[TF_REGISTRY_REFERENCE_BYTES];
};

/* "oci://host[:port]/name[:tag]"; the tag is "latest" where it is not said. False: *ret_why (static) says why not. */
bool tf_registry_read_place(const char *text, struct tf_registry_place *ret_place, const char **ret_why);
/* Whether a host, with or without port, means this machine. */
bool tf_registry_is_loopback(const char *host);

/* ---- over the socket (SOCK_SEQPACKET); both ends are this very program ---- */

/* The first message. Texts end with NUL; "": not said. */
struct tf_registry_setup {
    struct tf_registry_place place;
    bool is_plain, may_push;
    char user[TF_REGISTRY_USER_BYTES], password[TF_REGISTRY_SECRET_BYTES];
    char token[TF_REGISTRY_SECRET_BYTES];    /* sent as it is, instead of user and password */
    char token_host[TF_REGISTRY_HOST_BYTES]; /* where user and password may be sent besides the registry itself */
    char ca_file[512];
    char run_as[64];                         /* whom the process becomes, where it starts as root */
    uint32_t connect_ms, stall_s, tries;     /* at least 1 each; stall_s: without a kilobyte a second */
    uint64_t blob_most;
};

struct tf_registry_item {
    char key[TF_REGISTRY_HASH_BYTES], sum[TF_REGISTRY_SUM_BYTES];
    char blob[TF_REGISTRY_HASH_BYTES], manifest[TF_REGISTRY_HASH_BYTES];
    uint64_t blob_bytes, manifest_bytes;
};

enum tf_registry_op {
    TF_REGISTRY_LIST,      /* reference: writes the items of a list (without blobs) to the descriptor; count */
    TF_REGISTRY_FIND,      /* reference: a parcel, by tag, or with none by item.manifest; the item */
    TF_REGISTRY_GET,       /* item.blob: writes it to the descriptor, from `offset`; count: where it ends */
    TF_REGISTRY_HAS,       /* item.blob: count is 1 if it is there */
    TF_REGISTRY_PUT,       /* item.blob: reads it from the descriptor */
    TF_REGISTRY_PUT_PARCEL,/* the item's manifest, under a tag, or with none by its digest; the item */
    TF_REGISTRY_PUT_LIST,  /* `count` items from the descriptor, under a tag */
};

struct tf_registry_request {
    uint32_t op;
    bool has_fd;
    char reference[TF_REGISTRY_REFERENCE_BYTES];
    struct tf_registry_item item;
    uint64_t offset, count;
};

struct tf_registry_answer {
    int32_t result; /* 0 or a code of <terrafirma/error.h>: NOT_FOUND, REFUSED, LIMIT, CORRUPT, TIMEOUT, SYSTEM */
    char text[TF_ERROR_TEXT_BYTES];
    struct tf_registry_item item;
    uint64_t count;
};

/* Serves the socket until the other end closes it. `confine` is called once the setup has come, before anything is said
 * to the registry. Errors: SYSTEM, what `confine` says. */
int tf_registry_run(int socket_fd, int (*confine)(void *context, const struct tf_registry_setup *setup,
                                                  struct tf_error *error),
                    void *context, struct tf_error *error);
/* What `confine` has to leave. */
extern const char *const tf_registry_calls[];
extern const uint32_t tf_registry_call_count;

#endif
