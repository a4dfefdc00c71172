/* Between bundle_write.c and bundle_read.c. */
#ifndef TF_CACHE_BUNDLE_INTERNAL_H
#define TF_CACHE_BUNDLE_INTERNAL_H

#include "cache/bundle.h"
#include "cache/internal.h"

#define TF_BUNDLE_MAGIC "TFBUNDL1"
#define TF_BUNDLE_MAGIC_BYTES 8
#define TF_BUNDLE_ARTIFACTS_MOST 1000000u
#define TF_BUNDLE_PIECE_BYTES ((size_t)128 << 10)
/* What a reader gives a frame to look back at, and so what a writer uses. */
#define TF_BUNDLE_WINDOW_LOG 22

enum { TF_BUNDLE_OBJECT = 1, TF_BUNDLE_IMAGE = 2 };
enum { TF_BUNDLE_END = 0, TF_BUNDLE_ENTRY = 1 };

#endif
