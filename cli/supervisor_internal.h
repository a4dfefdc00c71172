/* Between supervisor.c (children, the loop, the stop), supervisor_make.c and supervisor_report.c. */
#ifndef TF_CLI_SUPERVISOR_INTERNAL_H
#define TF_CLI_SUPERVISOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/config.h"
#include "cli/listeners.h"
#include "cli/quarantine.h"
#include "h2o-handler/shared.h"
#include "sites/routes.h"
#include <terrafirma/error.h>
#include <terrafirma/services.h>

enum tf_child_kind { TF_CHILD_BUILDER, TF_CHILD_LOGS, TF_CHILD_SERVICE, TF_CHILD_CERTIFICATES, TF_CHILD_WORKER };

struct tf_child {
    pid_t pid; /* 0: none runs */
    enum tf_child_kind kind;
    uint32_t index; /* of a worker; of a service, enum tf_service */
    uint64_t started_ns, restart_ns;
    uint32_t deaths;     /* in rapid succession */
    uint32_t unserved;   /* one after another, of workers that answered nothing */
    bool has_served;     /* some worker in this place did */
    uint64_t deaths_all; /* since the server started */
    uint64_t beats;      /* of a worker, when last looked at */
    uint32_t still;      /* looks in a row that found it where it was */
};

#define TF_CRASHES_KEPT 16u

/* One that somebody may want to know of. */
struct tf_crash {
    char at[40];
    uint32_t worker;
    long pid;
    int signal;
    bool has_culprit;
    struct tf_culprit culprit;
};

struct tf_supervisor {
    const struct tf_config *config;
    uint32_t worker_count;
    struct tf_child builder, logs, certificates, services[TF_SERVICE_COUNT], workers[TF_WORKERS_MAX];
    struct tf_address addresses[TF_CONFIG_LISTEN_MAX], tls_addresses[TF_CONFIG_LISTEN_MAX];
    int *listen_fds, *tls_listen_fds; /* [address][worker] */
    int tls_channels[TF_WORKERS_MAX][2]; /* the certificate service's end, the worker's (sites/tls_channel.h) */
    int config_fd, state_fd, state_read_fd, acks_fd, signal_fd;
    int quarantine_fd, quarantine_read_fd;
    int wake_fds[TF_WORKERS_MAX], log_fds[TF_WORKERS_MAX], running_fds[TF_WORKERS_MAX];
    int stop_workers[2], stop_builder[2], stop_logs[2], stop_services[2], stop_certificates[2];
    int call_wake_fds[TF_WORKERS_MAX];                  /* eventfds: services wake workers */
    int link_fds[TF_SERVICE_COUNT][TF_WORKERS_MAX];     /* base/link.h; 0: the service is off */
    int secrets_fd;                                     /* lines of sites/secrets.h, to read; -1: none */
    int kv_page_fd, kv_page_read_fd;                    /* terrafirma/kv.h; workers only read */
    int kv_file_fd;                                     /* the store, to read; -1: it cannot be */
    int domain_table_fd, domain_table_read_fd;          /* sites/domain_table.h; likewise. 0: none */
    int service_wakes[TF_SERVICE_COUNT][2];             /* pipes: workers wake services, and only write */
    struct tf_shared_state *state;
    struct tf_shared_acks *acks;
    struct tf_shared_running *running[TF_WORKERS_MAX];
    struct tf_shared_quarantine *quarantine_page;
    struct tf_quarantine quarantine;
    struct tf_crash crashes[TF_CRASHES_KEPT]; /* a ring */
    uint64_t crash_count;
    int report_folder_fd; /* where server.json goes */
    uint64_t look_ns; /* when workers are looked at again */
    bool is_ready, is_stopping, is_hurried, is_report_due;
    bool has_failed; /* a child cannot start at all */
};

/* Whether the configuration wants the service. */
bool tf_supervisor_has_service(const struct tf_supervisor *supervisor, uint32_t service);
/* Listeners, shared memory, pipes, signals: all that children are given. Errors: USAGE, BUSY, SYSTEM. */
int tf_supervisor_make(struct tf_supervisor *supervisor, struct tf_error *error);

/* A worker was killed by a signal: tells of it, and finds out who is to blame. */
void tf_supervisor_crashed(struct tf_supervisor *supervisor, const struct tf_child *child, long pid, int signal);
/* Ends quarantines that are over. */
void tf_supervisor_tick(struct tf_supervisor *supervisor);
/* server.json: what `terrafirma status` shows of the processes. Failures are told on standard error. */
void tf_supervisor_report(struct tf_supervisor *supervisor);

#endif
