/*
 * What a function's memory holds when a request starts.
 *
 * Most functions begin with a few pages that are not all zero: those are kept as what they are, a few hundred bytes of
 * ordinary memory, and written into a slot when it is bound. That takes no file, no mapping and no page of its own for
 * each function, and a slot can go from one such function to another without the kernel (tf_slot_hand_over). Others
 * get a sealed file in memory, which slots map: pages that nobody writes are shared by all.
 */
#ifndef TF_RUNTIME_IMAGE_H
#define TF_RUNTIME_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/runs.h"
#include <terrafirma/error.h>

/* Pages that are not all zero, of an image that is kept as they are. */
#define TF_IMAGE_PARTS_MOST 16u

/* What of a page is not zero, from the first such byte to the last. */
struct tf_image_part {
    uint32_t page;
    uint16_t offset, length; /* 1 to 4096 bytes, within the page */
    uint32_t at;             /* in `contents` */
};

struct tf_image {
    uint64_t bytes;      /* whole pages; what lies behind them is zero */
    uint64_t held_bytes; /* of memory, without which the image would not be */
    /* fd -1: the parts are all there is, by ascending pages; one allocation, contents behind them. */
    struct tf_image_part *parts;
    const uint8_t *contents;
    uint32_t part_count;
    int fd;                /* -1, or the sealed file */
    const uint8_t *mapped; /* all of it, read-only */
};

#define TF_IMAGE_NONE ((struct tf_image){.fd = -1})

/* Of `bytes` at `from`, which are whole pages. `most` bounds held_bytes. Errors: NO_SLOT (over `most`), SYSTEM. */
int tf_image_copy(const uint8_t *from, uint64_t bytes, uint64_t most, struct tf_image *ret_image,
                  struct tf_error *error);
/* Of what `old` becomes when the pages of `changed` are those of `memory`. Errors likewise. */
int tf_image_from_memory(const struct tf_image *old, const struct tf_runs *changed, const uint8_t *memory,
                         uint64_t bytes, uint64_t most, struct tf_image *ret_image, struct tf_error *error);
void tf_image_dispose(struct tf_image *image);

static inline bool tf_image_is_small(const struct tf_image *image)
{
    return image->fd < 0;
}

/* Puts the pages of the runs back to the image. They may be written. */
void tf_image_restore(const struct tf_image *image, const struct tf_runs *runs, uint8_t *memory);
/* Writes a small image's parts from byte `from` to byte `end`, whole pages, into memory that is all zero there. */
void tf_image_place(const struct tf_image *image, uint8_t *memory, uint64_t from, uint64_t end);

#endif
