/*
 * The gate: whether a request may have what its path means, by the rules of its site (sites/access.h). It is decided
 * before anything else is done or said: that nothing is there, or that a function could not be built, is told only to
 * those who might see it if it were.
 *
 * Where a password must be checked with bcrypt the request waits, and a thread of low priority does it: one password at
 * a time, sites in turn. What was right is remembered for a while by a keyed digest.
 */
#ifndef TF_H2O_HANDLER_GATE_H
#define TF_H2O_HANDLER_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/io_thread.h"
#include "h2o-handler/password.h"
#include "h2o-handler/target.h"
#include "sites/access.h"

struct tf_worker;
struct tf_check;

struct tf_gate {
    struct tf_io_thread *thread;
    struct tf_password_room *room; /* the thread's */
    struct tf_password_room *loop_room;
    struct tf_verified verified;
    h2o_linklist_t checks; /* that wait, and the one that runs */
    uint32_t count;
    uint64_t turn; /* of the check that ran last */
    bool is_running;
};

/* What an admitted request may do. Pointers are good until the loop's next turn. */
struct tf_pass {
    uint8_t may, possible; /* TF_ACCESS_READ, TF_ACCESS_LIST: of this visitor; of any user */
    bool has_rules;        /* the site has some */
    bool allows_origins;   /* pages of all other sites may read it */
    bool is_private;       /* not everybody may */
    bool is_lasting;       /* the next request for the same path would be admitted in the same way, unseen */
    const char *user;      /* whose password was right, where it was asked for; else NULL */
    const char *realm;     /* path of the deciding rule */
    const char *page_403, *page_404; /* NULL: none of the site's own */
};

/* Errors: SYSTEM. */
int tf_gate_init(struct tf_worker *worker, struct tf_error *error);
/* False: the thread did not end in time. */
bool tf_gate_stop(struct tf_gate *gate, unsigned wait_ms);
void tf_gate_dispose(struct tf_gate *gate);

/* True: admitted. False: answered, or answered later, after tf_dispatch_again. `is_wrong`: the credentials that came
 * with it were found to be wrong already. `path_length`: of the raw path. A `target` that is a pattern's has the path
 * that was asked for in `path`. */
bool tf_gate_admit(struct tf_worker *worker, h2o_req_t *req, const struct tf_access *access, const char *site,
                   const struct tf_target *target, size_t path_length, bool is_wrong, uint64_t arrived_ns,
                   struct tf_pass *ret_pass);
/* Whether that user (NULL: anybody) may read `path` too, which a link led to. */
bool tf_gate_may_read(const struct tf_access *access, const char *user, const char *path, size_t path_length);
/* 401, or 403 where nobody could have it, with the site's own page where it has one. */
void tf_gate_refuse(struct tf_worker *worker, h2o_req_t *req, const char *site, const struct tf_pass *pass,
                    uint8_t wanted, uint64_t arrived_ns);
/* The header that asks for a password. */
void tf_gate_add_challenge(h2o_req_t *req, const char *realm);

#endif
