/*
 * The certificate service: a process that alone reads keys from files, has certificates issued, and gives workers what
 * they need in memory.
 *
 *     supplied.c (the operator's folder) ─┐
 *     acme.c (which hosts, when) ─────────┼─▶ table (tls_table.h) ─▶ every worker, by tls_channel.h
 *        └─▶ acme_client.c ─▶ uacme ─▶ the authority; its hook (acme_hook.c) asks us for answers to challenges
 */
#ifndef TF_SITES_CERTIFICATES_H
#define TF_SITES_CERTIFICATES_H

#include <stdbool.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_ACME_CLIENT "/usr/bin/uacme"

/* What is written into the service's folder for people, whenever it changes: {"authority", "account_error",
 * "account_next_try", "certificates": [{"hosts", "source" ("operator", "acme"), "file", "issuer", "begins", "ends",
 * "renews", "error", "next_try", "failures", "is_ordered"}]}; what is not known is not there, times are RFC 3339. A
 * host without "ends" has no certificate. */
#define TF_CERTIFICATES_REPORT "report.json"

enum tf_acme_challenge { TF_ACME_ANY, TF_ACME_HTTP_01, TF_ACME_TLS_ALPN_01 };
enum tf_acme_when { TF_ACME_MAPPED, TF_ACME_ASKED };

struct tf_acme_config {
    const char *directory; /* the authority's URL; NULL: none, nothing is issued */
    const char *email;     /* NULL: none is given */
    const char *hook;      /* this very program */
    enum tf_acme_challenge challenge;
    enum tf_acme_when when;
    uint32_t jobs;           /* clients at once */
    uint32_t renew_percent;  /* of a certificate's time that is left when another is asked for */
    uint32_t domain_orders;  /* new hosts of one registered domain in a week */
    uint32_t hour_orders;    /* orders in an hour, renewals included */
    uint32_t retry_first_s, retry_most_s; /* after a failure; each doubles it */
    uint32_t order_s;        /* one order, before its client is ended */
};

struct tf_certificates_config {
    const char *folder;       /* keys and certificates that were issued; 0700, this process's own */
    const char *supplied;     /* the operator's folder; NULL: none */
    const char *routes;       /* the folder of this root's route tables */
    int state_fd;             /* struct tf_shared_state, read-only */
    int domain_table_fd;      /* sites/domain_table.h, to read; 0: domains are not looked up */
    uint64_t domains, domains_absent; /* its sizes */
    bool wants_lists, demands_lists;  /* a folder that has a list of domains must name the host; all must have one */
    int stop_fd;
    const int *channel_fds;   /* one for each worker */
    uint32_t worker_count;
    uint32_t most;            /* certificates; hosts */
    uint32_t look_s;          /* between two looks at the operator's folder; SIGHUP looks at once */
    struct tf_acme_config acme;
};

/* `confine` is called when all is made and before anything is read that others wrote. Until stop_fd says so.
 * Errors: SYSTEM, USAGE. */
int tf_certificates_run(const struct tf_certificates_config *config,
                        int (*confine)(void *context, struct tf_error *error), void *context, struct tf_error *error);

/* What the client's hook does, when this program is started as that: passes its arguments on to the service. Returns
 * the exit status. False in *ret_is_hook: it was started as something else. */
int tf_acme_hook(int argc, char **argv, bool *ret_is_hook);

#endif
