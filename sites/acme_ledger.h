/* What the certificate service must not forget when it ends: orders that count against limits, and failures. */
#ifndef TF_SITES_ACME_LEDGER_H
#define TF_SITES_ACME_LEDGER_H

#include "sites/certificates_internal.h"

#define TF_ACME_WEEK_S (7 * 24 * 3600)

/* The host of that name, NULL: it is not known. */
struct tf_acme_host *tf_acme_find_host(const struct tf_acme *acme, const char *name);
/* The same, made where it is missing; NULL beyond `most`, or without memory. */
struct tf_acme_host *tf_acme_add_host(struct tf_acme *acme, const char *name, size_t most);

void tf_acme_note_order(struct tf_acme *acme, int64_t now, const char *domain, bool is_renewal);
/* In the last hour; new hosts of a registered domain in the last week. */
uint32_t tf_acme_orders_of_hour(const struct tf_acme *acme, int64_t now);
uint32_t tf_acme_orders_of_domain(const struct tf_acme *acme, int64_t now, const char *domain);

/* The file "ledger" of the authority's folder. A line that makes no sense is passed over; failures are told on standard
 * error. */
void tf_acme_ledger_read(struct tf_acme *acme, size_t most_hosts);
void tf_acme_ledger_write(struct tf_acme *acme, int64_t now);

#endif
