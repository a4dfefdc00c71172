/* Between certificates.c (the loop, the table), acme.c (which hosts, when) and acme_client.c (one order). */
#ifndef TF_SITES_CERTIFICATES_INTERNAL_H
#define TF_SITES_CERTIFICATES_INTERNAL_H

#include <poll.h>
#include <sys/types.h>

#include "sites/certificate.h"
#include "sites/certificates.h"
#include "sites/domain_table.h"
#include "sites/routes.h"
#include "sites/site.h"
#include "sites/supplied.h"
#include "sites/tls_channel.h"

#define TF_ACME_JOBS_MOST 16u
#define TF_ACME_TOKEN_BYTES 256u
#define TF_ACME_ANSWER_BYTES 512u
#define TF_ACME_HOOK_BYTES 2048u
#define TF_ACME_SAID_BYTES 240u
#define TF_ACME_HOOK_VARIABLE "TERRAFIRMA_ACME_HOOK_FD"

/* A host that is served, or was. */
struct tf_acme_host {
    char *name;
    struct tf_certificate *certificate; /* issued; NULL: none yet */
    int64_t next_try;                   /* seconds since 1970; after a failure */
    uint32_t failures;                  /* in a row */
    char failure[TF_ACME_SAID_BYTES];   /* what the client said last of all, the last time; "": it did not fail */
    bool is_wanted, is_ordered;
};

/* One client that runs. */
struct tf_acme_job {
    pid_t pid; /* 0: none */
    struct tf_acme_host *host; /* NULL: it makes the account */
    int hook_fd;               /* our end */
    uint64_t until_ns;
    int said_fd;               /* what it says to people; -1: nothing more */
    char line[TF_ACME_SAID_BYTES], said[TF_ACME_SAID_BYTES]; /* the line it is at; the last whole one */
    size_t line_length;
    /* The challenge that is being answered, if any. */
    char token[TF_ACME_TOKEN_BYTES], answer[TF_ACME_ANSWER_BYTES];
    struct tf_certificate *alpn;
    bool awaits;               /* the hook waits for the workers to have the answer */
    uint64_t awaits_serial, awaits_until_ns;
};

/* An order that counts against a limit. */
struct tf_acme_order {
    int64_t at;
    bool is_renewal;
    char *domain; /* registered */
};

struct tf_acme {
    struct tf_acme_host **hosts; /* sorted by name */
    size_t host_count, host_capacity;
    struct tf_acme_order *orders; /* of the last week, oldest first */
    size_t order_count, order_capacity;
    struct tf_acme_job jobs[TF_ACME_JOBS_MOST];
    int folder_fd; /* of this authority, in the service's folder */
    char folder[64];
    bool has_account;
    int64_t account_next_try;
    uint32_t account_failures;
    char account_failure[TF_ACME_SAID_BYTES]; /* as of a host */
    struct tf_routes *routes; /* that hosts were taken from; NULL: none yet */
    uint64_t look_ns;
};

struct tf_certificates {
    const struct tf_certificates_config *config;
    const struct tf_shared_state *state;
    struct tf_domain_table domains; /* zeroed: domains are not looked up */
    int folder_fd;
    struct tf_supplied supplied;
    struct tf_acme acme;
    struct tf_tls_ticket_key ticket_keys[TF_TLS_TICKET_KEYS];
    uint64_t rotate_ns, look_ns;
    uint64_t serial;
    uint64_t *adopted; /* by each worker, as it says */
    bool *is_there;    /* a worker that has spoken since it was last found silent */
    int table_fd;      /* the current one; -1: none */
    bool is_changed;   /* another table has to be made */
    bool is_news;      /* so has the report */
    uint64_t report_hash;
};

/* certificates.c */
/* Tells all workers that there will be no certificate of that host for now; "": of none. */
void tf_certificates_none(const struct tf_certificates *service, const char *host);

/* acme.c */
int tf_acme_init(struct tf_certificates *service, struct tf_error *error);
/* Seconds at most until it wants to be called again. */
void tf_acme_turn(struct tf_certificates *service);
/* A worker's client came for it. False: there will be none for now. */
bool tf_acme_want(struct tf_certificates *service, const char *host);
void tf_acme_dispose(struct tf_certificates *service);
/* What became of a job. */
void tf_acme_ended(struct tf_certificates *service, struct tf_acme_job *job, bool is_issued);
/* When a certificate is to be renewed, seconds since 1970. */
int64_t tf_acme_renewal(const struct tf_acme_config *config, const struct tf_certificate *certificate);
bool tf_acme_is_busy(const struct tf_certificates *service);

/* certificates_report.c */
/* Writes report.json, for `terrafirma status`, into the service's folder where it says something new. */
void tf_certificates_report(struct tf_certificates *service);

/* acme_client.c */
/* `host` NULL: makes sure of the account. Errors: SYSTEM. */
int tf_acme_client_start(struct tf_certificates *service, struct tf_acme_job *job, struct tf_acme_host *host,
                         struct tf_error *error);
/* Ends clients that took too long, collects those that ended, answers hooks whose answers have arrived. */
void tf_acme_client_turn(struct tf_certificates *service);
/* A hook has something to say. */
void tf_acme_client_hook(struct tf_certificates *service, struct tf_acme_job *job);
void tf_acme_client_stop(struct tf_certificates *service);

#endif
