/* A folder's content as a page, for those who may list it. Blocks; any thread but an event loop's. */
#ifndef TF_H2O_HANDLER_LISTING_H
#define TF_H2O_HANDLER_LISTING_H

#include <stdint.h>

#include "base/buffer.h"

/* Appends the page of the folder that is open as `fd` (closed here), `path` from the site, with at most
 * `entries_max` entries in the order of their names. Hidden names and those that no request could
 * name are left out. 0 or an errno. */
int tf_listing_make(int fd, const char *path, uint64_t entries_max, struct tf_buffer *page);

#endif
