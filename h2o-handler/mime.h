/* Content types by file extension. Pure; any thread. */
#ifndef TF_H2O_HANDLER_MIME_H
#define TF_H2O_HANDLER_MIME_H

#include <stddef.h>

/* Of a path's last segment; "application/octet-stream" where the extension says nothing. Static storage. */
const char *tf_mime_type(const char *path, size_t length);

#endif
