#include "runtime/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include <terrafirma/limits.h>

#define PAGE TF_HOST_PAGE_BYTES

/* ---- gathering the pages of a small image ---- */

struct gathered {
    struct tf_image_part parts[TF_IMAGE_PARTS_MOST];
    uint32_t count, length;
    uint8_t contents[TF_IMAGE_PARTS_MOST * PAGE];
};

static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* The first and the last word of a page that are not zero. False: all are. */
static bool find_span(const uint8_t *page, uint32_t *ret_first, uint32_t *ret_end)
{
    uint32_t first = 0, end = PAGE;
    while (first < PAGE && word_at(page + first) == 0)
        first += sizeof(uint64_t);
    if (first == PAGE)
        return false;
    while (word_at(page + end - sizeof(uint64_t)) == 0)
        end -= sizeof(uint64_t);
    *ret_first = first;
    *ret_end = end;
    return true;
}

/* False: there are too many for a small image. */
static bool gather(struct gathered *gathered, uint32_t index, const uint8_t *page)
{
    uint32_t first, end;
    if (!find_span(page, &first, &end))
        return true;
    if (gathered->count == TF_IMAGE_PARTS_MOST)
        return false;
    gathered->parts[gathered->count++] = (struct tf_image_part){
        .page = index, .offset = (uint16_t)first, .length = (uint16_t)(end - first), .at = gathered->length};
    memcpy(gathered->contents + gathered->length, page + first, end - first);
    gathered->length += end - first;
    return true;
}

static int over(struct tf_error *error, uint64_t bytes)
{
    return tf_error_set(error, TF_ERR_NO_SLOT, "an image of %llu bytes: all images together would be over "
                        "limits.image_bytes", (unsigned long long)bytes);
}

static int keep(const struct gathered *gathered, uint64_t bytes, uint64_t most, struct tf_image *ret_image,
                struct tf_error *error)
{
    size_t const parts_bytes = gathered->count * sizeof(gathered->parts[0]);
    uint64_t const held = parts_bytes + gathered->length;
    if (held > most)
        return over(error, held);
    struct tf_image image = {.bytes = bytes, .held_bytes = held, .part_count = gathered->count, .fd = -1};
    if (held > 0) {
        image.parts = malloc(held);
        if (image.parts == NULL)
            return tf_error_set(error, TF_ERR_SYSTEM, "no memory for an image");
        memcpy(image.parts, gathered->parts, parts_bytes);
        image.contents = (uint8_t *)image.parts + parts_bytes;
        memcpy((uint8_t *)image.parts + parts_bytes, gathered->contents, gathered->length);
    }
    *ret_image = image;
    return TF_OK;
}

static bool gather_all(struct gathered *gathered, const uint8_t *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += PAGE) {
        if (!gather(gathered, (uint32_t)(at / PAGE), from + at))
            return false;
    }
    return true;
}

static void expand(const struct tf_image *image, const struct tf_image_part *part, uint8_t *page)
{
    memset(page, 0, part->offset);
    memcpy(page + part->offset, image->contents + part->at, part->length);
    memset(page + part->offset + part->length, 0, PAGE - part->offset - part->length);
}

/* Changed pages, and between them the parts of `old` that lie below `bytes`. */
static bool gather_memory(struct gathered *gathered, const struct tf_image *old, const struct tf_runs *changed,
                          const uint8_t *memory, uint64_t bytes)
{
    _Alignas(16) uint8_t page[PAGE];
    uint32_t const page_count = (uint32_t)(bytes / PAGE);
    uint32_t part = 0;
    for (uint32_t i = 0; i <= changed->count; i++) {
        uint32_t const first = i < changed->count ? changed->runs[i].first : page_count;
        uint32_t const end = i < changed->count ? changed->runs[i].end : page_count;
        for (; part < old->part_count && old->parts[part].page < first; part++) {
            expand(old, &old->parts[part], page);
            if (old->parts[part].page < page_count && !gather(gathered, old->parts[part].page, page))
                return false;
        }
        while (part < old->part_count && old->parts[part].page < end)
            part++;
        for (uint32_t index = first; index < end && index < page_count; index++) {
            if (!gather(gathered, index, memory + (uint64_t)index * PAGE))
                return false;
        }
    }
    return true;
}

/* ---- the file of a large one ---- */

static int write_page(int fd, uint64_t at, const uint8_t *page)
{
    return pwrite(fd, page, PAGE, (off_t)at) == (ssize_t)PAGE ? 0 : -1;
}

/* Most images are mostly zeros: stacks, and memory that is there to be used. Pages of zeros are not written, and so
 * take no memory in the copy, which is a file of holes. `bytes` are whole pages. */
static int copy_pages(int to, const uint8_t *from, uint64_t bytes)
{
    static uint8_t const zeros[PAGE];
    for (uint64_t at = 0; at < bytes; at += PAGE) {
        if (memcmp(from + at, zeros, PAGE) != 0 && write_page(to, at, from + at) != 0)
            return -1;
    }
    return 0;
}

static int copy_old(int to, const struct tf_image *old, uint64_t bytes)
{
    _Alignas(16) uint8_t page[PAGE];
    if (!tf_image_is_small(old))
        return copy_pages(to, old->mapped, old->bytes < bytes ? old->bytes : bytes);
    for (uint32_t i = 0; i < old->part_count; i++) {
        uint64_t const at = (uint64_t)old->parts[i].page * PAGE;
        expand(old, &old->parts[i], page);
        if (at < bytes && write_page(to, at, page) != 0)
            return -1;
    }
    return 0;
}

static int copy_changed(int to, const struct tf_runs *changed, const uint8_t *memory, uint64_t bytes)
{
    for (uint32_t i = 0; i < changed->count; i++) {
        uint64_t at = (uint64_t)changed->runs[i].first * PAGE, end = (uint64_t)changed->runs[i].end * PAGE;
        end = end < bytes ? end : bytes;
        while (at < end) {
            ssize_t const n = pwrite(to, memory + at, end - at, (off_t)at);
            if (n <= 0)
                return -1;
            at += (uint64_t)n;
        }
    }
    return 0;
}

/* Sealed, so that nobody can change what slots map. Takes the descriptor also on failure. */
static int seal(int fd, uint64_t bytes, bool is_written, struct tf_image *ret_image, struct tf_error *error)
{
    void *const mapped = is_written ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) {
        tf_error_system(error, "making the image of %llu bytes", (unsigned long long)bytes);
        if (fd >= 0)
            close(fd);
        return TF_ERR_SYSTEM;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    *ret_image = (struct tf_image){.bytes = bytes, .held_bytes = bytes, .fd = fd, .mapped = mapped};
    return TF_OK;
}

static int create_file(uint64_t bytes)
{
    int const fd = memfd_create("terrafirma-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- both ---- */

int tf_image_copy(const uint8_t *from, uint64_t bytes, uint64_t most, struct tf_image *ret_image,
                  struct tf_error *error)
{
    struct gathered gathered; /* large: not all of it is written */
    gathered.count = gathered.length = 0;
    if (gather_all(&gathered, from, bytes))
        return keep(&gathered, bytes, most, ret_image, error);
    if (bytes > most)
        return over(error, bytes);
    int const copy = create_file(bytes);
    return seal(copy, bytes, copy >= 0 && copy_pages(copy, from, bytes) == 0, ret_image, error);
}

int tf_image_from_memory(const struct tf_image *old, const struct tf_runs *changed, const uint8_t *memory,
                         uint64_t bytes, uint64_t most, struct tf_image *ret_image, struct tf_error *error)
{
    struct gathered gathered;
    gathered.count = gathered.length = 0;
    if (tf_image_is_small(old) && gather_memory(&gathered, old, changed, memory, bytes))
        return keep(&gathered, bytes, most, ret_image, error);
    if (bytes > most)
        return over(error, bytes);
    int const copy = create_file(bytes);
    bool const is_written =
        copy >= 0 && copy_old(copy, old, bytes) == 0 && copy_changed(copy, changed, memory, bytes) == 0;
    return seal(copy, bytes, is_written, ret_image, error);
}

void tf_image_dispose(struct tf_image *image)
{
    if (image->mapped != NULL)
        munmap((void *)(uintptr_t)image->mapped, image->bytes);
    if (image->fd >= 0)
        close(image->fd);
    free(image->parts);
    *image = TF_IMAGE_NONE;
}

static void restore_mapped(const struct tf_image *image, const struct tf_runs *runs, uint8_t *memory)
{
    for (uint32_t i = 0; i < runs->count; i++) {
        uint64_t const first = (uint64_t)runs->runs[i].first * PAGE, end = (uint64_t)runs->runs[i].end * PAGE;
        uint64_t const image_end = end < image->bytes ? end : image->bytes;
        uint64_t const zero_from = first > image_end ? first : image_end;
        if (first < image_end)
            memcpy(memory + first, image->mapped + first, image_end - first);
        if (zero_from < end)
            memset(memory + zero_from, 0, end - zero_from);
    }
}

void tf_image_restore(const struct tf_image *image, const struct tf_runs *runs, uint8_t *memory)
{
    if (!tf_image_is_small(image)) {
        restore_mapped(image, runs, memory);
        return;
    }
    uint32_t part = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        for (uint32_t page = runs->runs[i].first; page < runs->runs[i].end;) {
            while (part < image->part_count && image->parts[part].page < page)
                part++;
            bool const has_part = part < image->part_count && image->parts[part].page < runs->runs[i].end;
            uint32_t const next = has_part ? image->parts[part].page : runs->runs[i].end;
            if (next > page)
                memset(memory + (uint64_t)page * PAGE, 0, (uint64_t)(next - page) * PAGE);
            if (has_part)
                expand(image, &image->parts[part], memory + (uint64_t)next * PAGE);
            page = next + has_part;
        }
    }
}

void tf_image_place(const struct tf_image *image, uint8_t *memory, uint64_t from, uint64_t end)
{
    for (uint32_t i = 0; i < image->part_count; i++) {
        const struct tf_image_part *const part = &image->parts[i];
        uint64_t const at = (uint64_t)part->page * PAGE;
        if (at >= from && at < end)
            memcpy(memory + at + part->offset, image->contents + part->at, part->length);
    }
}
