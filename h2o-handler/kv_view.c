#include "h2o-handler/kv_view.h"

#include <endian.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* How long the kernel's word that it has a page at hand is believed. */
#define WINDOW_NS (10 * TF_NS_PER_S)
#define MAP_BYTES_MIN (1ull << 20)
/* A lookup that was overtaken by writers is done again so often. */
#define TRIES 2

int tf_kv_view_init(struct tf_kv_view *view, int page_fd, int fd, struct tf_error *error)
{
    struct stat status;
    struct statfs system;
    *view = (struct tf_kv_view){.fd = fd};
    if (page_fd <= 0 || fd <= 0)
        return 0;
    const struct tf_kv_page *const page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, page_fd, 0);
    if (page == MAP_FAILED)
        return tf_error_system(error, "cannot map the key-value service's page");
    view->page = page;
    if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0)
        return tf_error_system(error, "cannot see the key-value store's file");
    view->device = status.st_dev;
    view->inode = status.st_ino;
    view->is_memory = system.f_type == TMPFS_MAGIC;
    return 0;
}

void tf_kv_view_dispose(struct tf_kv_view *view)
{
    if (view->map != NULL)
        munmap((void *)(uintptr_t)view->map, view->map_bytes);
    if (view->page != NULL)
        munmap((void *)(uintptr_t)view->page, sizeof(*view->page));
    free(view->seen);
    *view = (struct tf_kv_view){0};
}

/* ---- pages ---- */

/* Has the file mapped up to `end`; false: it is not that long. It only ever grows. */
static bool reach(struct tf_kv_view *view, uint64_t end)
{
    struct stat status;
    if (end <= view->file_bytes)
        return true;
    if (fstat(view->fd, &status) != 0 || (uint64_t)status.st_size < end)
        return false;
    uint64_t bytes = MAP_BYTES_MIN;
    while (bytes < (uint64_t)status.st_size)
        bytes *= 2;
    if (bytes > view->map_bytes) {
        uint8_t *const seen = calloc(bytes / TF_KV_TREE_PAGE, 1);
        void *const map = seen != NULL ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, view->fd, 0) : MAP_FAILED;
        if (map == MAP_FAILED) {
            free(seen);
            return false;
        }
        if (view->map != NULL)
            munmap((void *)(uintptr_t)view->map, view->map_bytes);
        free(view->seen);
        view->seen = seen;
        view->map = map;
        view->map_bytes = bytes;
    }
    view->file_bytes = (uint64_t)status.st_size;
    return true;
}

static void turn_window(struct tf_kv_view *view)
{
    uint64_t const now_ns = tf_clock_ns();
    if (now_ns < view->window_ends_ns)
        return;
    view->window_ends_ns = now_ns + WINDOW_NS;
    if (++view->window == 0) {
        if (view->seen != NULL)
            memset(view->seen, 0, view->map_bytes / TF_KV_TREE_PAGE);
        view->window = 1;
    }
}

/* What is not would be waited for: the whole loop would, for a disk. */
static bool is_at_hand(struct tf_kv_view *view, uint64_t number)
{
    uint8_t byte;
    struct iovec part = {&byte, 1};
    if (view->seen[number] == view->window)
        return true;
    ssize_t const got = preadv2(view->fd, &part, 1, (off_t)(number * TF_KV_TREE_PAGE), RWF_NOWAIT);
    if (got != 1 && !(got == -1 && errno == EOPNOTSUPP && view->is_memory))
        return false;
    view->seen[number] = view->window;
    return true;
}

static bool take_page(struct tf_kv_view *view, uint64_t number, uint8_t *ret_copy)
{
    if (number >= UINT64_MAX / TF_KV_TREE_PAGE - 1 || !reach(view, (number + 1) * TF_KV_TREE_PAGE) ||
        !is_at_hand(view, number))
        return false;
    memcpy(ret_copy, view->map + number * TF_KV_TREE_PAGE, TF_KV_TREE_PAGE);
    return true;
}

/* BROKEN: it could not be looked up. What `ret_place` points at lies in `copy`. */
static enum tf_kv_tree_step walk(struct tf_kv_view *view, struct tf_kv_tree tree, const void *key, size_t key_length,
                                 uint8_t *copy, struct tf_kv_tree_place *ret_place)
{
    uint64_t number = tree.root;
    if (tree.depth == 0)
        return TF_KV_TREE_ABSENT;
    for (uint32_t i = 0; i < tree.depth; i++) {
        if (number > view->head.last_page || !take_page(view, number, copy))
            return TF_KV_TREE_BROKEN;
        enum tf_kv_tree_step const step = tf_kv_tree_look(copy, number, key, key_length, ret_place);
        if (step != TF_KV_TREE_DOWN)
            return step;
        number = ret_place->page;
    }
    return TF_KV_TREE_BROKEN;
}

/* ---- what a transaction sees ---- */

/* The number in the head that is transaction `number`'s as long as it is that very number. */
static uint64_t number_now(const struct tf_kv_view *view, uint64_t number)
{
    const uint8_t *const at = view->map + (number & 1) * TF_KV_TREE_PAGE + tf_kv_tree_number_at();
    atomic_thread_fence(memory_order_acquire);
    return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static bool find_tree(struct tf_kv_view *view, const char *name, uint8_t *copy, struct tf_kv_tree *ret_tree)
{
    struct tf_kv_tree_place place;
    return walk(view, view->head.main, name, strlen(name), copy, &place) == TF_KV_TREE_FOUND &&
           tf_kv_tree_of_value(&place, ret_tree);
}

/* Has the view see what transaction `number` does. */
static bool look_from(struct tf_kv_view *view, uint64_t number)
{
    uint8_t copy[TF_KV_TREE_PAGE];
    if (view->head.number == number)
        return true;
    bool const is_there = take_page(view, number & 1, copy) && tf_kv_tree_head_of(copy, &view->head) &&
                          view->head.number == number && find_tree(view, TF_KV_SITES, copy, &view->sites) &&
                          find_tree(view, TF_KV_DATA, copy, &view->data) && number_now(view, number) == number;
    if (!is_there)
        view->head.number = 0;
    return is_there;
}

/* ---- values ---- */

static uint8_t *make_answer(struct tf_kv_answer head, const uint8_t *value, size_t length, size_t *ret_length)
{
    uint8_t *const answer = malloc(sizeof(head) + length);
    if (answer == NULL)
        return NULL;
    memcpy(answer, &head, sizeof(head));
    if (length > 0 && value != NULL)
        memcpy(answer + sizeof(head), value, length);
    *ret_length = sizeof(head) + length;
    return answer;
}

/* A value with pages of its own, read by one system call that does not wait. */
static uint8_t *take_long(struct tf_kv_view *view, const struct tf_kv_tree_place *place, struct tf_kv_answer head,
                          uint8_t *copy, size_t *ret_length)
{
    if (place->page > view->head.last_page || !take_page(view, place->page, copy))
        return NULL;
    size_t const skip = tf_kv_tree_long_value(copy, place->page, place->length);
    uint8_t *answer = skip > 0 ? make_answer(head, NULL, place->length, ret_length) : NULL;
    if (answer == NULL)
        return NULL;
    struct iovec part = {answer + sizeof(head), place->length};
    off_t const at = (off_t)(place->page * TF_KV_TREE_PAGE + skip);
    ssize_t const got = preadv2(view->fd, &part, 1, at, view->is_memory ? 0 : RWF_NOWAIT);
    if (got < 0 || (size_t)got != place->length) {
        free(answer);
        answer = NULL;
    }
    return answer;
}

static uint8_t *look_up(struct tf_kv_view *view, const char *site, const struct tf_kv_call *call,
                        struct tf_kv_answer head, size_t most, size_t *ret_length)
{
    uint8_t copy[TF_KV_TREE_PAGE], key[sizeof(uint64_t) + TF_KV_KEY_BYTES_MAX];
    struct tf_kv_tree_place place;
    struct tf_kv_site record;
    enum tf_kv_tree_step step = walk(view, view->sites, site, strlen(site), copy, &place);
    if (step == TF_KV_TREE_FOUND) {
        if (place.bytes == NULL || place.length != sizeof(record))
            return NULL;
        memcpy(&record, place.bytes, sizeof(record));
        uint64_t const id = htobe64(record.id);
        memcpy(key, &id, sizeof(id));
        if (call->key_length > 0)
            memcpy(key + sizeof(id), call->key, call->key_length);
        step = walk(view, view->data, key, sizeof(id) + call->key_length, copy, &place);
    }
    if (step == TF_KV_TREE_BROKEN)
        return NULL;
    head.result = step == TF_KV_TREE_FOUND ? TF_KV_PRESENT : TF_KV_ABSENT;
    if (step == TF_KV_TREE_ABSENT)
        return make_answer(head, NULL, 0, ret_length);
    if (place.is_tree || place.length > most)
        return NULL;
    return place.bytes != NULL ? make_answer(head, place.bytes, place.length, ret_length)
                               : take_long(view, &place, head, copy, ret_length);
}

/* The version is taken before the transaction's number: the service publishes the number first. So what is read is at
 * least as new as the version, and whoever remembers it under that version forgets it in time. */
static uint8_t *try(struct tf_kv_view *view, const char *site, const struct tf_kv_call *call, size_t most,
                    size_t *ret_length)
{
    const struct tf_kv_page *const page = view->page;
    uint64_t const hash = tf_kv_hash(page->seed, site, call->key, call->key_length);
    struct tf_kv_answer head = {.epoch = atomic_load(&page->epoch)};
    head.version = atomic_load(&page->versions[tf_kv_version_of(hash)]);
    uint64_t const number = atomic_load(&page->number);
    if (number == 0 || atomic_load(&page->inode) != view->inode || atomic_load(&page->device) != view->device ||
        !look_from(view, number))
        return NULL;
    uint8_t *answer = look_up(view, site, call, head, most, ret_length);
    if (answer != NULL && number_now(view, number) != number) {
        free(answer);
        answer = NULL;
    }
    return answer;
}

uint8_t *tf_kv_view_get(struct tf_kv_view *view, const char *site, const struct tf_kv_call *call, size_t most,
                        size_t *ret_length)
{
    uint8_t *answer = NULL;
    if (view->page == NULL || call->key_length > TF_KV_KEY_BYTES_MAX)
        return NULL;
    turn_window(view);
    for (uint32_t i = 0; i < TRIES && answer == NULL; i++)
        answer = try(view, site, call, most, ret_length);
    *(answer != NULL ? &view->reads : &view->refusals) += 1;
    return answer;
}
