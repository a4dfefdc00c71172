#include "sites/registered.h"

#include <stddef.h>
#include <string.h>

#include <libpsl.h>

#include "sites/site.h"

static const psl_ctx_t *list(void)
{
    static const psl_ctx_t *suffixes;
    if (suffixes == NULL)
        suffixes = psl_latest(NULL);
    if (suffixes == NULL)
        suffixes = psl_builtin();
    return suffixes;
}

const char *tf_registered_domain(const char *host)
{
    return list() != NULL ? psl_registrable_domain(list(), host) : NULL;
}

bool tf_registered_can_be_issued(const char *host)
{
    size_t const length = strlen(host);
    if (strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != length || strchr(host, '.') == NULL)
        return false;
    if (strspn(strrchr(host, '.') + 1, "0123456789") == strlen(strrchr(host, '.') + 1))
        return false; /* an address */
    return tf_site_name_is_valid(host) && tf_registered_domain(host) != NULL;
}
