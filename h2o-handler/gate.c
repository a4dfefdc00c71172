#include "h2o-handler/gate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/cors.h"
#include "h2o-handler/dispatch.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"

#define THREAD_NICENESS 10

/* A password to be checked. Outlives a request that goes away while the thread is at it. */
struct tf_check {
    struct tf_io_job io;
    h2o_linklist_t link;
    struct tf_worker *worker;
    struct visitor *visitor; /* NULL: the request is gone */
    uint64_t turn;           /* checks run in the order of this: each site's come one after another */
    uint32_t cost;
    bool is_running, is_right;
    uint8_t digest[TF_VERIFIED_DIGEST_BYTES];
    char site[TF_SITE_NAME_BYTES];
    char client[TF_ADDRESS_BYTES];
    char hash[TF_ACCESS_HASH_BYTES]; /* "": there is no such user */
    struct tf_credentials credentials;
};

/* The request's side; lies in a shared chunk of its pool, so that its end is seen. */
struct visitor {
    struct tf_check *check; /* NULL: it does not wait any more */
    h2o_req_t *req;
    uint64_t arrived_ns;
    h2o_timeout_entry_t deadline;
};

/* ---- on the thread ---- */

static void run_check(struct tf_io_job *io)
{
    struct tf_check *const check = (struct tf_check *)io;
    check->is_right = tf_password_is_right(check->worker->gate.room, check->hash[0] != '\0' ? check->hash : NULL,
                                           check->cost, check->credentials.password);
}

/* ---- on the loop ---- */

static void free_check(struct tf_check *check)
{
    h2o_linklist_unlink(&check->link);
    check->worker->gate.count--;
    explicit_bzero(check, sizeof(*check));
    free(check);
}

static struct tf_check *check_at(h2o_linklist_t *link)
{
    return H2O_STRUCT_FROM_MEMBER(struct tf_check, link, link);
}

static void check_done(struct tf_io_job *io);

static void start_next(struct tf_gate *gate)
{
    struct tf_check *next = NULL;
    if (gate->is_running)
        return;
    for (h2o_linklist_t *link = gate->checks.next; link != &gate->checks; link = link->next) {
        if (next == NULL || check_at(link)->turn < next->turn)
            next = check_at(link);
    }
    if (next == NULL)
        return;
    gate->is_running = next->is_running = true;
    gate->turn = next->turn;
    next->io.run = run_check;
    next->io.done = check_done;
    tf_io_thread_submit(gate->thread, &next->io);
}

static void detach(struct visitor *visitor)
{
    h2o_timeout_unlink(&visitor->deadline);
    struct tf_check *const check = visitor->check;
    visitor->check = NULL;
    if (check == NULL)
        return;
    check->visitor = NULL;
    if (!check->is_running)
        free_check(check);
}

static void on_request_gone(void *chunk)
{
    detach(chunk);
}

static void report(struct tf_worker *worker, h2o_req_t *req, const char *site, enum tf_log_outcome outcome,
                   uint64_t arrived_ns)
{
    struct tf_reported const reported = {.site = tf_report_name(site), .arrived_ns = arrived_ns, .outcome = outcome};
    tf_report_request(worker, req, &reported);
}

static void on_deadline(h2o_timeout_entry_t *entry)
{
    struct visitor *const visitor = H2O_STRUCT_FROM_MEMBER(struct visitor, deadline, entry);
    struct tf_worker *const worker = visitor->check->worker;
    char site[TF_SITE_NAME_BYTES];
    memcpy(site, visitor->check->site, sizeof(site));
    detach(visitor);
    tf_respond_busy(visitor->req, "Passwords cannot be checked at the moment; try again.");
    report(worker, visitor->req, site, TF_LOG_OUTCOME_BUSY, visitor->arrived_ns);
}

static void check_done(struct tf_io_job *io)
{
    struct tf_check *const check = (struct tf_check *)io;
    struct tf_worker *const worker = check->worker;
    struct tf_gate *const gate = &worker->gate;
    struct visitor *const visitor = check->visitor;
    bool const is_right = check->is_right;
    gate->is_running = false;
    if (is_right)
        tf_verified_add(&gate->verified, check->digest,
                        tf_clock_ns() + worker->config->limits.password_memory_s * TF_NS_PER_S);
    if (visitor != NULL) {
        h2o_timeout_unlink(&visitor->deadline);
        visitor->check = NULL;
    }
    free_check(check);
    start_next(gate);
    if (visitor != NULL)
        tf_dispatch_again(worker, visitor->req, is_right ? 0 : TF_KNOWN_WRONG, visitor->arrived_ns);
}

/* ---- a new check ---- */

struct wanted { /* of a password */
    const char *site;
    const struct tf_access *access;
    const struct tf_access_user *user; /* NULL: there is none of that name */
    const struct tf_credentials *credentials;
    const uint8_t *digest;
    uint64_t arrived_ns;
};

enum room { ROOM_FREE, ROOM_FULL, ROOM_TOO_MANY };

/* Whether one more is taken, and when its turn is: after those of its site, else next. */
static enum room find_room(const struct tf_worker *worker, const char *site, const char *client, uint64_t *ret_turn)
{
    const struct tf_gate *const gate = &worker->gate;
    const struct tf_limits *const limits = &worker->config->limits;
    uint64_t of_site = 0, of_client = 0, turn = gate->turn;
    for (h2o_linklist_t *link = gate->checks.next; link != &gate->checks; link = link->next) {
        const struct tf_check *const check = check_at(link);
        of_client += strcmp(check->client, client) == 0;
        if (strcmp(check->site, site) != 0)
            continue;
        of_site++;
        turn = check->turn > turn ? check->turn : turn;
    }
    *ret_turn = turn + 1;
    if (of_site >= limits->site_password_checks || of_client >= limits->client_password_checks)
        return ROOM_TOO_MANY;
    return gate->count >= limits->password_checks ? ROOM_FULL : ROOM_FREE;
}

static void answer_too_many(struct tf_worker *worker, h2o_req_t *req, const struct wanted *wanted)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("retry-after"), 1, NULL, H2O_STRLIT("1"));
    tf_respond_text(req, 429, "Too many passwords at once; try again.");
    report(worker, req, wanted->site, TF_LOG_OUTCOME_BUSY, wanted->arrived_ns);
}

static void start_check(struct tf_worker *worker, h2o_req_t *req, const struct wanted *wanted)
{
    struct tf_gate *const gate = &worker->gate;
    h2o_iovec_t const address = tf_connection_address(tf_connection_of(req));
    char client[TF_ADDRESS_BYTES] = "";
    uint64_t turn;
    memcpy(client, address.base, address.len < sizeof(client) ? address.len : sizeof(client) - 1);
    enum room const room = find_room(worker, wanted->site, client, &turn);
    if (room == ROOM_TOO_MANY) {
        answer_too_many(worker, req, wanted);
        return;
    }
    struct tf_check *const check = room == ROOM_FREE ? calloc(1, sizeof(*check)) : NULL;
    if (check == NULL) {
        tf_respond_busy(req, "Passwords cannot be checked at the moment; try again.");
        report(worker, req, wanted->site, TF_LOG_OUTCOME_BUSY, wanted->arrived_ns);
        return;
    }
    check->worker = worker;
    check->turn = turn;
    check->cost = wanted->access->bcrypt_cost;
    memcpy(check->digest, wanted->digest, sizeof(check->digest));
    memcpy(check->client, client, sizeof(client));
    memcpy(check->site, wanted->site, strlen(wanted->site) + 1);
    if (wanted->user != NULL)
        memcpy(check->hash, wanted->user->hash, strlen(wanted->user->hash) + 1);
    check->credentials = *wanted->credentials;
    check->credentials.name = check->credentials.text;
    check->credentials.password = check->credentials.text + wanted->credentials->name_length + 1;
    h2o_linklist_insert(&gate->checks, &check->link);
    gate->count++;
    struct visitor *const visitor = h2o_mem_alloc_shared(&req->pool, sizeof(*visitor), on_request_gone);
    *visitor =
        (struct visitor){.check = check, .req = req, .arrived_ns = wanted->arrived_ns, .deadline.cb = on_deadline};
    check->visitor = visitor;
    h2o_timeout_link(worker->server.loop, &worker->wall_timeout, &visitor->deadline);
    start_next(gate);
}

/* ---- judging ---- */

static struct tf_access_verdict judge(const struct tf_access *access, uint32_t user, const struct tf_target *target,
                                      const char *raw, size_t path_length, bool *ret_is_plain)
{
    struct tf_access_verdict verdict = tf_access_begin();
    *ret_is_plain = true;
    if (target->folder) /* first, so that its rule is the one that is named */
        tf_access_narrow(&verdict, access, user, target->path, target->folder_length);
    if (target->kind != TF_TARGET_FUNCTION) {
        tf_access_narrow(&verdict, access, user, target->path, target->path_length);
        return verdict;
    }
    tf_access_narrow_function(&verdict, access, user, target->path, target->path_length);
    tf_access_narrow_function(&verdict, access, user, target->route->path, strlen(target->route->path));
    *ret_is_plain = tf_access_narrow_rest(&verdict, access, user, target->route->path, strlen(target->route->path),
                                          raw + target->script_bytes, path_length - target->script_bytes);
    return verdict;
}

/* Exactly one Authorization header; several are none. */
static h2o_iovec_t authorization_of(const h2o_req_t *req)
{
    ssize_t const at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
    if (at == -1 || h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, at) != -1)
        return h2o_iovec_init(NULL, 0);
    return req->headers.entries[at].value;
}

enum identity { IDENTITY_KNOWN, IDENTITY_NONE, IDENTITY_WAITS };

/* Who it is, by the password that came along. WAITS: answered, or to be answered. */
static enum identity identify(struct tf_worker *worker, h2o_req_t *req, const char *site,
                              const struct tf_access *access, uint64_t arrived_ns, uint32_t *ret_user)
{
    struct tf_gate *const gate = &worker->gate;
    struct tf_credentials credentials;
    uint8_t digest[TF_VERIFIED_DIGEST_BYTES];
    h2o_iovec_t const value = authorization_of(req);
    if (value.base == NULL || !tf_credentials_parse(value.base, value.len, &credentials))
        return IDENTITY_NONE;
    enum identity identity = IDENTITY_NONE;
    uint32_t const index = tf_access_find_user(access, credentials.name, credentials.name_length);
    const struct tf_access_user *const user = index != TF_ACCESS_ANONYMOUS ? &access->users[index] : NULL;
    bool const has_digest = tf_verified_digest(&gate->verified, site, credentials.name, user != NULL ? user->hash : "",
                                               credentials.password, digest);
    if (has_digest && user != NULL && tf_verified_has(&gate->verified, digest, tf_clock_ns())) {
        identity = IDENTITY_KNOWN;
    } else if (access->bcrypt_cost == 0) {
        bool const is_right =
            tf_password_is_right(gate->loop_room, user != NULL ? user->hash : NULL, 0, credentials.password);
        identity = is_right ? IDENTITY_KNOWN : IDENTITY_NONE;
    } else if (has_digest) {
        struct wanted const wanted = {site, access, user, &credentials, digest, arrived_ns};
        start_check(worker, req, &wanted);
        identity = IDENTITY_WAITS;
    }
    explicit_bzero(&credentials, sizeof(credentials));
    *ret_user = identity == IDENTITY_KNOWN ? index : TF_ACCESS_ANONYMOUS;
    return identity;
}

static void answer_closed(struct tf_worker *worker, h2o_req_t *req, const struct tf_access *access, const char *site,
                          uint64_t arrived_ns)
{
    if (access->state == TF_ACCESS_PENDING)
        tf_respond_busy(req, "The rules of this site are being read; try again in a moment.");
    else if (access->state == TF_ACCESS_INVALID)
        tf_respond_text(req, 412, "invalid .kbp_config");
    else
        tf_response_send(req, 500, h2o_iovec_init(NULL, 0));
    report(worker, req, site, TF_LOG_OUTCOME_NONE, arrived_ns);
}

static void fill_pass(struct tf_pass *pass, const struct tf_access *access, const struct tf_access_verdict *verdict,
                      uint32_t user)
{
    const struct tf_access_rule *const rule = verdict->rule;
    bool const is_user = user != TF_ACCESS_ANONYMOUS;
    *pass = (struct tf_pass){
        .may = is_user ? verdict->user : verdict->anonymous,
        .possible = verdict->possible,
        .has_rules = true,
        .allows_origins = verdict->allows_origins,
        .is_private = is_user || !(verdict->anonymous & TF_ACCESS_READ),
        .user = is_user ? access->users[user].name : NULL,
        .realm = rule != NULL ? rule->path : "",
        .page_403 = rule != NULL ? rule->page_403 : NULL,
        .page_404 = rule != NULL ? rule->page_404 : NULL,
    };
}

/* Browsers ask without a password whether they may ask with one. True: answered, by the rules of origins alone, which
 * say the same whether anything is there or not, or by a function's own. */
static bool answer_preflight(struct tf_worker *worker, h2o_req_t *req, const struct tf_target *target,
                             const struct tf_access_verdict *verdict)
{
    if (!tf_cors_is_preflight(req))
        return false;
    enum tf_preflight own = TF_PREFLIGHT_UNSAID;
    if (target->kind == TF_TARGET_FUNCTION && target->route->state == TF_ROUTE_LIVE)
        own = tf_served_preflight(worker, req, target->route);
    if (own != TF_PREFLIGHT_UNSAID || !verdict->allows_origins)
        return own == TF_PREFLIGHT_ANSWERED;
    tf_cors_answer_all(req, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    return true;
}

bool tf_gate_admit(struct tf_worker *worker, h2o_req_t *req, const struct tf_access *access, const char *site,
                   const struct tf_target *target, size_t path_length, bool is_wrong, uint64_t arrived_ns,
                   struct tf_pass *ret_pass)
{
    *ret_pass = (struct tf_pass){.may = TF_ACCESS_READ, .possible = TF_ACCESS_READ, .is_lasting = true, .realm = ""};
    if (access == NULL)
        return true;
    if (access->state != TF_ACCESS_RULES) {
        answer_closed(worker, req, access, site, arrived_ns);
        return false;
    }
    static const char origins[] = "access-control-allow-origin";
    bool is_plain;
    uint32_t user = TF_ACCESS_ANONYMOUS;
    const char *const raw = req->path.base;
    struct tf_access_verdict verdict = judge(access, user, target, raw, path_length, &is_plain);
    uint8_t const wanted = target->folder && target->kind == TF_TARGET_FILE ? TF_ACCESS_ALL : TF_ACCESS_READ;
    bool const needs_password = (verdict.possible & ~verdict.anonymous & wanted) != 0 && is_plain;
    if (needs_password && !(verdict.anonymous & wanted) && answer_preflight(worker, req, target, &verdict)) {
        report(worker, req, site, TF_LOG_OUTCOME_NONE, arrived_ns);
        return false;
    }
    if (needs_password && !is_wrong) {
        if (identify(worker, req, site, access, arrived_ns, &user) == IDENTITY_WAITS)
            return false;
        verdict = judge(access, user, target, raw, path_length, &is_plain);
    }
    fill_pass(ret_pass, access, &verdict, user);
    ret_pass->is_lasting = !ret_pass->is_private && !verdict.allows_origins;
    if (!is_plain) {
        tf_respond_text(req, 400, "The path is malformed.");
        report(worker, req, site, TF_LOG_OUTCOME_NONE, arrived_ns);
        return false;
    }
    if ((ret_pass->may & wanted) == 0) {
        tf_gate_refuse(worker, req, site, ret_pass, wanted, arrived_ns);
        return false;
    }
    if (verdict.allows_origins && h2o_find_header_by_str(&req->res.headers, origins, sizeof(origins) - 1, -1) == -1)
        h2o_add_header_by_str(&req->pool, &req->res.headers, origins, sizeof(origins) - 1, 1, NULL, H2O_STRLIT("*"));
    return true;
}

bool tf_gate_may_read(const struct tf_access *access, const char *user, const char *path, size_t path_length)
{
    if (access == NULL)
        return user == NULL;
    uint32_t const index = user != NULL ? tf_access_find_user(access, user, strlen(user)) : TF_ACCESS_ANONYMOUS;
    struct tf_access_verdict verdict = tf_access_begin();
    tf_access_narrow(&verdict, access, index, path, path_length);
    return (verdict.user & TF_ACCESS_READ) != 0;
}

/* ---- refusing ---- */

void tf_gate_add_challenge(h2o_req_t *req, const char *realm)
{
    static const char digits[] = "0123456789ABCDEF", head[] = "Basic realm=\"/", tail[] = "\", charset=\"UTF-8\"";
    size_t const length = strlen(realm);
    char *const value = h2o_mem_alloc_pool(&req->pool, sizeof(head) + sizeof(tail) + 3 * length);
    char *at = value;
    memcpy(at, head, sizeof(head) - 1);
    at += sizeof(head) - 1;
    for (const char *c = realm; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '"' || *c == '\\' || *c == '%') {
            *at++ = '%';
            *at++ = digits[(unsigned char)*c >> 4];
            *at++ = digits[(unsigned char)*c & 15];
        } else {
            *at++ = *c;
        }
    }
    memcpy(at, tail, sizeof(tail) - 1);
    at += sizeof(tail) - 1;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("www-authenticate"), 1, NULL, value,
                          (size_t)(at - value));
}

void tf_gate_refuse(struct tf_worker *worker, h2o_req_t *req, const char *site, const struct tf_pass *pass,
                    uint8_t wanted, uint64_t arrived_ns)
{
    bool const is_possible = (pass->possible & wanted) != 0;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("cache-control"), 1, NULL,
                          H2O_STRLIT("private, no-store"));
    if (is_possible)
        tf_gate_add_challenge(req, pass->realm);
    if (!is_possible && pass->page_403 != NULL) {
        tf_static_file_error(worker, req, site, 403, pass->page_403, arrived_ns);
        return;
    }
    tf_respond_text(req, is_possible ? 401 : 403, is_possible ? "This needs a password." : "This is not for you.");
    report(worker, req, site, TF_LOG_OUTCOME_NONE, arrived_ns);
}

/* ---- life ---- */

int tf_gate_init(struct tf_worker *worker, struct tf_error *error)
{
    struct tf_gate *const gate = &worker->gate;
    h2o_linklist_init_anchor(&gate->checks);
    gate->room = tf_password_room_create();
    gate->loop_room = tf_password_room_create();
    if (gate->room == NULL || gate->loop_room == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to check passwords in");
    int const result = tf_verified_init(&gate->verified, error);
    return result != TF_OK ? result
                           : tf_io_thread_create_nice(worker->server.context.queue, "tf-passwords", THREAD_NICENESS,
                                                      &gate->thread, error);
}

bool tf_gate_stop(struct tf_gate *gate, unsigned wait_ms)
{
    return tf_io_thread_destroy(&gate->thread, wait_ms);
}

void tf_gate_dispose(struct tf_gate *gate)
{
    while (gate->checks.next != NULL && !h2o_linklist_is_empty(&gate->checks))
        free_check(check_at(gate->checks.next));
    tf_password_room_destroy(&gate->room);
    tf_password_room_destroy(&gate->loop_room);
    explicit_bzero(&gate->verified, sizeof(gate->verified));
}
