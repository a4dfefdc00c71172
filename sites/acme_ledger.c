/*
 * The ledger is text, a line each:
 *
 *     host NAME FAILURES NEXT_TRY
 *     order AT new|renewal REGISTERED_DOMAIN
 */
#include "sites/acme_ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define LEDGER_BYTES (64u << 20)
#define ORDERS_MOST 200000u

/* ---- hosts ---- */

/* Where the name is, or belongs. */
static size_t place_of(const struct tf_acme *acme, const char *name, bool *ret_is_there)
{
    size_t low = 0, high = acme->host_count;
    *ret_is_there = false;
    while (low < high && !*ret_is_there) {
        size_t const middle = low + (high - low) / 2;
        int const order = strcmp(acme->hosts[middle]->name, name);
        *ret_is_there = order == 0;
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tf_acme_host *tf_acme_find_host(const struct tf_acme *acme, const char *name)
{
    bool is_there;
    size_t const at = place_of(acme, name, &is_there);
    return is_there ? acme->hosts[at] : NULL;
}

struct tf_acme_host *tf_acme_add_host(struct tf_acme *acme, const char *name, size_t most)
{
    bool is_there;
    size_t const at = place_of(acme, name, &is_there);
    if (is_there)
        return acme->hosts[at];
    if (acme->host_count >= most)
        return NULL;
    if (acme->host_count == acme->host_capacity) {
        size_t const capacity = acme->host_capacity > 0 ? acme->host_capacity * 2 : 64;
        struct tf_acme_host **const hosts = reallocarray(acme->hosts, capacity, sizeof(struct tf_acme_host *));
        if (hosts == NULL)
            return NULL;
        acme->hosts = hosts;
        acme->host_capacity = capacity;
    }
    struct tf_acme_host *const host = calloc(1, sizeof(*host));
    char *const copy = strdup(name);
    if (host == NULL || copy == NULL) {
        free(host);
        free(copy);
        return NULL;
    }
    host->name = copy;
    memmove(acme->hosts + at + 1, acme->hosts + at, (acme->host_count - at) * sizeof(struct tf_acme_host *));
    acme->hosts[at] = host;
    acme->host_count++;
    return host;
}

/* ---- orders ---- */

static void forget_old(struct tf_acme *acme, int64_t now)
{
    size_t old = 0;
    while (old < acme->order_count && acme->orders[old].at <= now - TF_ACME_WEEK_S)
        free(acme->orders[old++].domain);
    if (old > 0)
        memmove(acme->orders, acme->orders + old, (acme->order_count - old) * sizeof(acme->orders[0]));
    acme->order_count -= old;
}

void tf_acme_note_order(struct tf_acme *acme, int64_t now, const char *domain, bool is_renewal)
{
    forget_old(acme, now);
    if (acme->order_count == acme->order_capacity) {
        size_t const capacity = acme->order_capacity > 0 ? acme->order_capacity * 2 : 64;
        struct tf_acme_order *const orders =
            capacity <= 2 * ORDERS_MOST ? reallocarray(acme->orders, capacity, sizeof(*orders)) : NULL;
        if (orders == NULL)
            return;
        acme->orders = orders;
        acme->order_capacity = capacity;
    }
    char *const copy = strdup(domain);
    if (copy != NULL)
        acme->orders[acme->order_count++] = (struct tf_acme_order){now, is_renewal, copy};
}

uint32_t tf_acme_orders_of_hour(const struct tf_acme *acme, int64_t now)
{
    uint32_t count = 0;
    for (size_t i = acme->order_count; i > 0 && acme->orders[i - 1].at > now - 3600; i--)
        count++;
    return count;
}

uint32_t tf_acme_orders_of_domain(const struct tf_acme *acme, int64_t now, const char *domain)
{
    uint32_t count = 0;
    for (size_t i = 0; i < acme->order_count; i++) {
        const struct tf_acme_order *const order = &acme->orders[i];
        count += !order->is_renewal && order->at > now - TF_ACME_WEEK_S && strcmp(order->domain, domain) == 0;
    }
    return count;
}

/* ---- the file ---- */

static void read_line(struct tf_acme *acme, const char *line, size_t most_hosts)
{
    char name[TF_SITE_NAME_BYTES], kind[16];
    uint32_t failures;
    int64_t at;
    if (sscanf(line, "host %255s %" SCNu32 " %" SCNd64, name, &failures, &at) == 3 && tf_site_name_is_valid(name)) {
        struct tf_acme_host *const host = tf_acme_add_host(acme, name, most_hosts);
        if (host != NULL) {
            host->failures = failures;
            host->next_try = at;
        }
    } else if (sscanf(line, "order %" SCNd64 " %15s %255s", &at, kind, name) == 3 && tf_site_name_is_valid(name)) {
        tf_acme_note_order(acme, at, name, strcmp(kind, "renewal") == 0);
    }
}

void tf_acme_ledger_read(struct tf_acme *acme, size_t most_hosts)
{
    struct tf_buffer text;
    struct tf_error error;
    tf_buffer_init(&text, LEDGER_BYTES);
    int const result = tf_file_read(acme->folder_fd, "ledger", &text, &error);
    if (result != TF_OK && result != TF_ERR_NOT_FOUND)
        fprintf(stderr, "terrafirma: certificates: %s\n", error.text);
    char *rest = result == TF_OK ? (char *)text.bytes : NULL;
    for (char *line; rest != NULL && (line = strsep(&rest, "\n")) != NULL;)
        read_line(acme, line, most_hosts);
    tf_buffer_dispose(&text);
}

void tf_acme_ledger_write(struct tf_acme *acme, int64_t now)
{
    struct tf_buffer text;
    struct tf_error error;
    tf_buffer_init(&text, LEDGER_BYTES);
    forget_old(acme, now);
    for (size_t i = 0; i < acme->host_count; i++) {
        const struct tf_acme_host *const host = acme->hosts[i];
        if (host->failures > 0)
            tf_buffer_printf(&text, "host %s %" PRIu32 " %" PRId64 "\n", host->name, host->failures, host->next_try);
    }
    for (size_t i = 0; i < acme->order_count; i++)
        tf_buffer_printf(&text, "order %" PRId64 " %s %s\n", acme->orders[i].at,
                         acme->orders[i].is_renewal ? "renewal" : "new", acme->orders[i].domain);
    if (text.failed || tf_file_write_atomic(acme->folder_fd, "ledger", text.bytes != NULL ? (char *)text.bytes : "",
                                            text.length, 0600, &error) != TF_OK)
        fprintf(stderr, "terrafirma: certificates: cannot write the ledger: %s\n",
                text.failed ? "it is too large" : error.text);
    tf_buffer_dispose(&text);
}
