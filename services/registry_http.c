/*
 * One exchange with a registry, by libcurl.
 *
 * The registry is nobody's friend: headers are counted, bodies are cut where they must end, what does not move any more
 * is given up, and nothing that it names is followed but redirects of reading requests and the places where it wants
 * uploads. Authorization goes to the registry's own scheme, host and port alone.
 */
#include "services/registry_http.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

#define REDIRECTS_MOST 5
#define HEADER_BYTES_MOST ((size_t)64 << 10)
#define ERROR_BODY_MOST ((size_t)64 << 10)

/* What the callbacks of one transfer need. */
struct transfer {
    struct tf_registry *registry;
    struct tf_registry_exchange *exchange;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
};

/* ---- headers ---- */

static void keep(const char *value, size_t length, char *ret_text, size_t text_bytes)
{
    if (length < text_bytes && memchr(value, '\0', length) == NULL) {
        memcpy(ret_text, value, length);
        ret_text[length] = '\0';
    }
}

static void note(struct tf_registry_exchange *exchange, const char *name, size_t name_length, const char *value,
                 size_t length)
{
    struct {
        const char *name;
        char *text;
        size_t bytes;
    } const wanted[] = {{"location", exchange->location, sizeof(exchange->location)},
                        {"range", exchange->range, sizeof(exchange->range)},
                        {"content-range", exchange->answered_range, sizeof(exchange->answered_range)},
                        {"oci-chunk-min-length", exchange->chunk_least, sizeof(exchange->chunk_least)}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strlen(wanted[i].name) == name_length && strncasecmp(name, wanted[i].name, name_length) == 0)
            keep(value, length, wanted[i].text, wanted[i].bytes);
    }
    if (name_length == 16 && strncasecmp(name, "www-authenticate", 16) == 0)
        tf_registry_note_challenge(exchange, value, length);
}

static void forget_answer(struct tf_registry_exchange *exchange)
{
    exchange->location[0] = exchange->range[0] = exchange->answered_range[0] = exchange->chunk_least[0] = '\0';
    exchange->bearer[0] = '\0';
    exchange->wants_basic = false;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct tf_registry_exchange *const exchange = ((struct transfer *)context)->exchange;
    size_t const length = size * count;
    exchange->header_bytes += length;
    if (exchange->header_bytes > HEADER_BYTES_MOST) {
        exchange->is_too_long = true;
        return 0;
    }
    if (length >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        forget_answer(exchange);
    const char *const colon = memchr(bytes, ':', length);
    if (colon == NULL)
        return length;
    const char *value = colon + 1, *end = bytes + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    note(exchange, bytes, (size_t)(colon - bytes), value, (size_t)(end - value));
    return length;
}

/* ---- bodies ---- */

/* Where the body of a good answer begins in the file. False: an answer to another question. */
static bool find_start(struct tf_registry_exchange *exchange)
{
    if (exchange->status == 206) {
        unsigned long long start;
        if (sscanf(exchange->answered_range, "bytes %llu-", &start) != 1 || start != exchange->from)
            return false;
        exchange->got = exchange->from;
    } else {
        exchange->got = 0; /* all of it, from the start */
    }
    return ftruncate(exchange->into_fd, (off_t)exchange->got) == 0;
}

static size_t take_into_file(struct tf_registry_exchange *exchange, const char *bytes, size_t length)
{
    if (exchange->body_seen == 0 && !find_start(exchange))
        return 0;
    exchange->body_seen += length;
    if (length > exchange->most - exchange->got) {
        exchange->is_too_long = true;
        return 0;
    }
    for (size_t done = 0; done < length;) {
        ssize_t const written =
            pwrite(exchange->into_fd, bytes + done, length - done, (off_t)exchange->got);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            exchange->is_write_failure = true;
            exchange->file_errno = errno;
            return 0;
        }
        done += (size_t)written;
        exchange->got += (uint64_t)written;
    }
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *const transfer = context;
    struct tf_registry_exchange *const exchange = transfer->exchange;
    size_t const length = size * count;
    curl_easy_getinfo(transfer->registry->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
    if (exchange->status != 200 && exchange->status != 206) { /* an explanation that nobody reads */
        exchange->body_seen += length;
        exchange->is_too_long = exchange->body_seen > ERROR_BODY_MOST;
        return exchange->is_too_long ? 0 : length;
    }
    if (exchange->into == NULL)
        return exchange->most > 0 ? take_into_file(exchange, bytes, length) : length;
    if (tf_buffer_append(exchange->into, bytes, length) != 0) {
        exchange->is_too_long = true;
        return 0;
    }
    return length;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *context)
{
    struct tf_registry_exchange *const exchange = ((struct transfer *)context)->exchange;
    size_t const left = (size_t)(exchange->body_bytes - exchange->sent);
    size_t const length = size * count < left ? size * count : left;
    if (length == 0)
        return 0;
    ssize_t got = (ssize_t)length;
    if (exchange->body != NULL)
        memcpy(bytes, (const char *)exchange->body + exchange->sent, length);
    else
        got = pread(exchange->body_fd, bytes, length, (off_t)(exchange->body_offset + exchange->sent));
    if (got <= 0) {
        exchange->is_read_failure = true;
        exchange->file_errno = got < 0 ? errno : EIO;
        return CURL_READFUNC_ABORT;
    }
    exchange->sent += (size_t)got;
    return (size_t)got;
}

static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct tf_registry_exchange *const exchange = ((struct transfer *)context)->exchange;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > exchange->body_bytes)
        return CURL_SEEKFUNC_FAIL;
    exchange->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Whether anybody waits still. */
static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *const transfer = context;
    struct pollfd other = {.fd = transfer->registry->socket_fd, .events = POLLRDHUP};
    (void)a, (void)b, (void)c, (void)d;
    return poll(&other, 1, 0) > 0 && (other.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

/* ---- one transfer ---- */

static bool add_header(struct transfer *transfer, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int const length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return false;
    struct curl_slist *const longer = curl_slist_append(transfer->headers, text);
    explicit_bzero(text, (size_t)length);
    free(text);
    transfer->headers = longer != NULL ? longer : transfer->headers;
    return longer != NULL;
}

static bool make_headers(struct transfer *transfer, bool is_home)
{
    const struct tf_registry *const registry = transfer->registry;
    const struct tf_registry_exchange *const exchange = transfer->exchange;
    bool is_good = add_header(transfer, "Expect:") && add_header(transfer, "User-Agent: terrafirma");
    if (exchange->accept != NULL)
        is_good = is_good && add_header(transfer, "Accept: %s", exchange->accept);
    is_good = is_good && (exchange->content_type != NULL
                              ? add_header(transfer, "Content-Type: %s", exchange->content_type)
                              : add_header(transfer, "Content-Type:"));
    if (exchange->content_range[0] != '\0')
        is_good = is_good && add_header(transfer, "Content-Range: %s", exchange->content_range);
    if (exchange->from > 0) /* with its end, without which some do not understand it */
        is_good = is_good && add_header(transfer, "Range: bytes=%llu-%llu", (unsigned long long)exchange->from,
                                        (unsigned long long)exchange->most - 1);
    if (is_home && !exchange->is_token && registry->token[0] != '\0')
        is_good = is_good && add_header(transfer, "Authorization: Bearer %s", registry->token);
    return is_good;
}

static bool set_options(struct transfer *transfer, bool sends_password)
{
    CURL *const easy = transfer->registry->easy;
    struct tf_registry_exchange *const exchange = transfer->exchange;
    const struct tf_registry_setup *const setup = transfer->registry->setup;
    bool const is_head = strcmp(exchange->method, "HEAD") == 0, is_get = strcmp(exchange->method, "GET") == 0;
    CURLcode failed = CURLE_OK;
#define SET(option, value)                                                                                             \
    if (failed == CURLE_OK)                                                                                            \
    failed = curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, exchange->url);
    SET(PROTOCOLS_STR, setup->is_plain ? "http,https" : "https");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTP09_ALLOWED, 0L);
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NOPROXY, "*");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(NOSIGNAL, 1L);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (setup->ca_file[0] != '\0') {
        SET(CAINFO, setup->ca_file);
        SET(CAPATH, NULL);
    }
    SET(CONNECTTIMEOUT_MS, (long)setup->connect_ms);
    SET(LOW_SPEED_LIMIT, 1024L);
    SET(LOW_SPEED_TIME, (long)setup->stall_s);
    if (exchange->most == 0 && exchange->body_fd < 0)
        SET(TIMEOUT_MS, 1000L * (long)setup->stall_s * 2); /* small things */
    SET(HTTPHEADER, transfer->headers);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, transfer);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, transfer);
    SET(NOPROGRESS, 0L);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, transfer);
    SET(ERRORBUFFER, transfer->error);
    if (sends_password) {
        SET(HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(USERNAME, setup->user);
        SET(PASSWORD, setup->password);
    }
    if (is_head) {
        SET(NOBODY, 1L);
    } else if (!is_get) {
        SET(UPLOAD, 1L);
        SET(INFILESIZE_LARGE, (curl_off_t)exchange->body_bytes);
        SET(READFUNCTION, on_read);
        SET(READDATA, transfer);
        SET(SEEKFUNCTION, on_seek);
        SET(SEEKDATA, transfer);
    }
    SET(CUSTOMREQUEST, exchange->method);
#undef SET
    return failed == CURLE_OK;
}

/* The registry itself, by scheme, host and port. */
static bool is_same(const struct tf_outbound_place *a, const struct tf_outbound_place *b)
{
    return a->is_secure == b->is_secure && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static int judge(const struct transfer *transfer, CURLcode code, struct tf_error *error)
{
    const struct tf_registry_exchange *const exchange = transfer->exchange;
    if (code == CURLE_OK)
        return 0;
    if (exchange->is_too_long)
        return tf_error_set(error, TF_ERR_LIMIT, "the registry's answer is longer than it may be");
    if (exchange->is_write_failure || exchange->is_read_failure)
        return tf_error_set(error, TF_ERR_LIMIT, "a file could not be %s: %s",
                            exchange->is_write_failure ? "written" : "read", strerror(exchange->file_errno));
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return tf_error_set(error, TF_ERR_CANCELLED, "nobody waits for the registry any more");
    return tf_error_set(error, code == CURLE_OPERATION_TIMEDOUT ? TF_ERR_TIMEOUT : TF_ERR_SYSTEM, "%s",
                        transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code));
}

static int send_once(struct tf_registry *registry, struct tf_registry_exchange *exchange, struct tf_error *error)
{
    struct transfer transfer = {.registry = registry, .exchange = exchange};
    struct tf_outbound_place place;
    const char *why;
    if (!tf_outbound_read_url(exchange->url, &place, &why) || (!place.is_secure && !registry->setup->is_plain))
        return tf_error_set(error, TF_ERR_REFUSED, "the registry leads to a place that is not gone to");
    bool const is_home = is_same(&place, &registry->place);
    bool const sends_password = exchange->is_token ? registry->sends_password : is_home && registry->sends_password;
    exchange->status = 0;
    exchange->header_bytes = exchange->sent = exchange->body_seen = 0;
    exchange->is_too_long = exchange->is_read_failure = exchange->is_write_failure = false;
    exchange->got = exchange->from;
    if (exchange->into != NULL)
        tf_buffer_clear(exchange->into);
    curl_easy_reset(registry->easy);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (make_headers(&transfer, is_home) && set_options(&transfer, sends_password))
        code = curl_easy_perform(registry->easy);
    curl_off_t length = -1;
    curl_easy_getinfo(registry->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
    curl_easy_getinfo(registry->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    exchange->length = length < 0 ? UINT64_MAX : (uint64_t)length;
    for (struct curl_slist *line = transfer.headers; line != NULL; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(transfer.headers);
    return judge(&transfer, code, error);
}

/* ---- with redirects, challenges and second tries ---- */

bool tf_registry_follow(const struct tf_registry *registry, struct tf_registry_exchange *exchange)
{
    CURLU *const url = curl_url();
    char *text = NULL;
    bool const is_good = url != NULL && exchange->location[0] != '\0' &&
                         curl_url_set(url, CURLUPART_URL, exchange->url, 0) == CURLUE_OK &&
                         curl_url_set(url, CURLUPART_URL, exchange->location, 0) == CURLUE_OK &&
                         curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK &&
                         strlen(text) < sizeof(exchange->url);
    struct tf_outbound_place place;
    const char *why;
    bool const may = is_good && tf_outbound_read_url(text, &place, &why) &&
                     (place.is_secure || (registry->setup->is_plain && !registry->place.is_secure));
    if (may)
        memcpy(exchange->url, text, strlen(text) + 1);
    curl_free(text);
    curl_url_cleanup(url);
    return may;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* One try: what it takes to get an answer that is no redirect. */
static int send_and_follow(struct tf_registry *registry, struct tf_registry_exchange *exchange, struct tf_error *error)
{
    bool const reads = strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0;
    int result = send_once(registry, exchange, error);
    for (int i = 0; result == 0 && reads && is_redirect(exchange->status); i++) {
        if (exchange->is_token || i == REDIRECTS_MOST)
            return tf_error_set(error, TF_ERR_REFUSED, "the registry redirects %s",
                                exchange->is_token ? "a request for a token" : "in circles");
        if (!tf_registry_follow(registry, exchange))
            return tf_error_set(error, TF_ERR_REFUSED, "the registry redirects to a place that is not gone to");
        result = send_once(registry, exchange, error);
    }
    return result;
}

static bool may_try_again(int result, long status)
{
    return result == TF_ERR_SYSTEM || result == TF_ERR_TIMEOUT ||
           (result == 0 && (status == 429 || status == 500 || status == 502 || status == 503 || status == 504));
}

static void wait_for_next(struct tf_registry *registry, uint32_t tried)
{
    struct pollfd other = {.fd = registry->socket_fd, .events = POLLRDHUP};
    poll(&other, 1, (int)(125u << (tried < 6 ? tried : 6)));
}

int tf_registry_exchange(struct tf_registry *registry, struct tf_registry_exchange *exchange, struct tf_error *error)
{
    char start[TF_REGISTRY_URL_BYTES];
    memcpy(start, exchange->url, sizeof(start));
    bool was_challenged = false;
    int result = 0;
    for (uint32_t tried = 0;;) {
        result = send_and_follow(registry, exchange, error);
        if (result == 0 && exchange->status == 401 && !was_challenged && !exchange->is_token) {
            was_challenged = true;
            result = tf_registry_authenticate(registry, exchange, error);
            if (result != 0)
                return result;
        } else if (result == 0 && exchange->status == 401 && was_challenged) {
            return tf_error_set(error, TF_ERR_REFUSED, "the registry does not take the %s",
                                registry->sends_password ? "user and password" : "token");
        } else if (exchange->is_once || ++tried >= registry->setup->tries || !may_try_again(result, exchange->status)) {
            return result;
        } else {
            wait_for_next(registry, tried);
        }
        if (exchange->into == NULL && exchange->most > 0)
            exchange->from = exchange->got; /* what has come is not asked for again */
        memcpy(exchange->url, start, sizeof(start));
    }
}

void tf_registry_url(const struct tf_registry *registry, struct tf_registry_exchange *exchange, const char *format, ...)
{
    int const length = snprintf(exchange->url, sizeof(exchange->url), "%s://%s/v2/%s/",
                                registry->place.is_secure ? "https" : "http", registry->setup->place.host,
                                registry->setup->place.repository);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(exchange->url + length, sizeof(exchange->url) - (size_t)length, format, arguments);
    va_end(arguments);
}

int tf_registry_wrong_status(long status, const char *what, struct tf_error *error)
{
    if (status == 404)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "the registry does not have %s", what);
    if (status == 401 || status == 403)
        return tf_error_set(error, TF_ERR_REFUSED, "the registry refuses %s (%ld): who asks may not", what, status);
    return tf_error_set(error, TF_ERR_SYSTEM, "the registry answers %ld for %s", status, what);
}
