/*
 * A worker process: one libh2o event loop, one loader thread. The only folder that includes h2o headers.
 */
#ifndef TF_H2O_HANDLER_WORKER_H
#define TF_H2O_HANDLER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>
#include <terrafirma/services.h>

struct tf_secrets;

struct tf_worker_service {
    int link_fd; /* base/link.h; 0: there is no such service */
    int wake_fd; /* written to wake it */
};

/* Whether a folder's list of domains counts: never; where there is one; and one is a must. */
enum tf_domain_proof { TF_DOMAIN_PROOF_LISTED, TF_DOMAIN_PROOF_REQUIRED, TF_DOMAIN_PROOF_OFF };

struct tf_worker_domains {
    int table_fd; /* sites/domain_table.h, to read; 0: domains are not looked up */
    enum tf_domain_proof proof;
    const char *const *deny, *const *allow; /* patterns (sites/domain.h); an empty list to allow allows all */
    size_t deny_count, allow_count;
};

struct tf_worker_config {
    const char *root;
    const char *cache_folder;
    const char *trust_folder;   /* NULL: in the cache */
    struct tf_limits limits;
    uint32_t index;             /* of this worker, from 0 */
    const int *listen_fds;      /* bound and listening, non-blocking, SO_REUSEPORT: this worker's own */
    uint32_t listen_count;
    int state_fd, acks_fd;      /* memfds (sites/routes.h); state is mapped read-only */
    int wake_fd;                /* eventfd: the builder published */
    int stop_fd;                /* readable (or closed at the other end): stop gracefully */
    uint32_t slice_us;
    int log_fd;                 /* ring (base/ring.h) of the log service; 0: none, what it would get goes to stderr */
    bool tells_sums;            /* of requests to the log service, not each: it writes no access log */
    int running_fd;             /* memfds (h2o-handler/shared.h); 0: none. The second cannot be written to */
    int quarantine_fd;
    int call_wake_fd;           /* eventfd by which services wake this worker; 0: no services */
    struct tf_worker_service services[TF_SERVICE_COUNT];
    bool has_site_files;        /* functions may read their site's files, where their settings say so */
    const struct tf_secrets *secrets; /* the operator's, by site; NULL: none. The caller's */
    struct tf_worker_domains domains;
    const int *tls_listen_fds;  /* as listen_fds, for connections that begin with a handshake */
    uint32_t tls_listen_count;
    int tls_channel_fd;         /* of the certificate service (sites/tls_channel.h); 0: TLS is not served */
    bool issues;                /* certificates are to be had from an authority */
    const char *default_host;   /* whose certificate clients without a name get; NULL: none */
    bool redirects;             /* from HTTP, where a host has a certificate */
    uint16_t https_port;        /* to there */
    uint64_t hsts_s;            /* Strict-Transport-Security's max-age (RFC 6797); 0: no such header */
    int kv_page_fd;             /* struct tf_kv_page, to read; 0: there is none */
    int kv_file_fd;             /* the key-value store's file, to read; 0: the service is asked for all */
};

/* Serves until stop_fd says stop and what was in flight is answered (bounded by limits.stop_ms). */
int tf_worker_run(const struct tf_worker_config *config, struct tf_error *error);

#endif
