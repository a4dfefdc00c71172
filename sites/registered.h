/* The registered domain of a host, by the public suffix list: example.co.uk of www.example.co.uk. One thread. */
#ifndef TF_SITES_REGISTERED_H
#define TF_SITES_REGISTERED_H

#include <stdbool.h>

/* Points into `host` (lower case). NULL: the host is a public suffix itself, or lies below none that is known. Reads
 * the list when first called: the system's, where it is newer than the library's own. */
const char *tf_registered_domain(const char *host);
/* A name for which a public authority could issue a certificate: letters, digits, hyphens; in a registered domain. */
bool tf_registered_can_be_issued(const char *host);

#endif
