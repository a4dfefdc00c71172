/*
 * Sites that lie one level deeper than others: `private/NAME`, `public/NAME` and `team/NAME` below the root. No Host
 * header names one; what leads there is a mapping: the operator's, or a record in the DNS (sites/domain.h).
 *
 * The name of such a site is "private:NAME": one component, as every site's name is, because names become folders of
 * logs and keys of stores. NAME says who shares the folder: `alice,bob` write, `alice,bob#carol` lets carol read,
 * a team is `eng` or `eng.web`. Their order and case mean nothing: the canonical form is in lower case, sorted, without
 * repetition, and a folder is found by it however it is spelled on the disk. Pure; any thread.
 */
#ifndef TF_SITES_CLASS_H
#define TF_SITES_CLASS_H

#include <stdbool.h>
#include <stddef.h>

#include "sites/site.h"

/* Of a folder that holds such sites: private, public, team. */
bool tf_class_is_folder(const char *name);
/* The site that the folder `name` inside `class` is, as it is spelled there. False: none. */
bool tf_class_site(const char *class, const char *name, char ret_site[TF_SITE_NAME_BYTES]);
/* A site of a class. */
bool tf_class_is_site(const char *site);
/* False: no site of a class. */
bool tf_class_canonical(const char *site, char ret_canonical[TF_SITE_NAME_BYTES]);
/* Where any site lies below the root: its name, or "private/NAME". */
void tf_class_folder_of(const char *site, char ret_folder[TF_SITE_NAME_BYTES]);

#endif
