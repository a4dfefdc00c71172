/*
 * A look at a request's head as it came, for what libh2o's parser takes in silence and hides: it keeps the last of
 * several Host headers and the first of several lengths, and lets chunks win over a length. A proxy in front may
 * choose otherwise, and then a client decides what the next request is. Pure; any thread.
 */
#ifndef TF_H2O_HANDLER_HEAD_SCAN_H
#define TF_H2O_HANDLER_HEAD_SCAN_H

#include <stddef.h>

enum tf_head_flaw {
    TF_HEAD_FINE,
    TF_HEAD_HOSTS,   /* more than one Host */
    TF_HEAD_FRAMING, /* more than one Content-Length or Transfer-Encoding, or both; a folded line */
};

/* `bytes` begin with the request and may go on behind its head; libh2o has parsed the head. */
enum tf_head_flaw tf_head_scan(const char *bytes, size_t length);

#endif
