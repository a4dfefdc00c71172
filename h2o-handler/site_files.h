/*
 * Files of a function's own site, for programs that may read them (terrafirma/services.h: fetch). Opened and read on
 * the thread of static files, which may hang, while the guest is parked.
 *
 * What a program finds is what lies there in plain: no links, nothing that begins with a dot, no ".wasm", no settings
 * of a function. A path is opened from the site's folder down, in one call that follows no link and never leaves it
 * (openat2), so that neither "..", nor a rename midway, nor a link that takes a folder's place leads to a neighbour.
 */
#ifndef TF_H2O_HANDLER_SITE_FILES_H
#define TF_H2O_HANDLER_SITE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/services.h>

/* Asked for at once in one worker, those that nobody waits for any more among them: a file system that hangs must not
 * have a queue grow. */
#define TF_SITE_FILES_MAX 1024u
/* Of a folder's listing. */
#define TF_SITE_LISTING_BYTES (1u << 20)

/* The table's `fetch`. */
uint64_t tf_site_files_fetch(void *context, struct tf_guest *guest, enum tf_site_kind kind, const char *path,
                             size_t path_length);

/* ---- what its thread does; pure but for the files; any thread ---- */

struct tf_site_file {
    enum tf_service_status status;
    uint8_t *bytes; /* OK: owned */
    size_t length;
};

/* `path` is relative, "" for the site itself. A file of more than `most` bytes is GONE. */
void tf_site_file_read(int root_fd, const char *site, enum tf_site_kind kind, const char *path, size_t most,
                       struct tf_site_file *ret_file);

#endif
