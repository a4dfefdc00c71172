#include "h2o-handler/kv_tree.h"

#include <string.h>

enum {
    IS_BRANCH = 0x01,
    IS_LEAF = 0x02,
    IS_OVERFLOW = 0x04,
    IS_HEAD = 0x08,
    KINDS = 0x2f, /* the above, and leaves of sorted duplicates, which nobody makes here */

    IN_OVERFLOW = 0x01, /* of an entry */
    IS_TREE = 0x02,

    MAGIC = 0xbeefc0deu,
    VERSION = 1,
};

/* As they lie in the file: little endian, like the machine (the manifest's CPU level says x86-64). */
struct page_start {
    uint64_t number;
    uint16_t pad, flags, lower, upper; /* of an overflow: lower and upper are the count of its pages */
};

struct tree_record {
    uint32_t pad; /* of the file's first tree: bytes of a page */
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct head_record {
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct tree_record free, main;
    uint64_t last_page, number;
};

struct entry_start {
    uint16_t low, high, flags, key_length;
};

_Static_assert(sizeof(struct page_start) == 16 && sizeof(struct tree_record) == 48 &&
                   sizeof(struct head_record) == 136 && sizeof(struct entry_start) == 8,
               "the file's layout");

struct entry {
    struct entry_start start;
    const uint8_t *key;
    size_t room; /* behind the key */
};

size_t tf_kv_tree_number_at(void)
{
    return sizeof(struct page_start) + offsetof(struct head_record, number);
}

static bool take_tree(const struct tree_record *record, struct tf_kv_tree *ret_tree)
{
    *ret_tree = (struct tf_kv_tree){record->root, record->depth};
    return record->flags == 0 && record->depth <= TF_KV_TREE_DEPTH_MAX &&
           (record->depth > 0 || record->root == TF_KV_TREE_NONE);
}

bool tf_kv_tree_head_of(const uint8_t *page, struct tf_kv_tree_head *ret_head)
{
    struct page_start start;
    struct head_record record;
    memcpy(&start, page, sizeof(start));
    memcpy(&record, page + sizeof(start), sizeof(record));
    *ret_head = (struct tf_kv_tree_head){.number = record.number, .last_page = record.last_page};
    return (start.flags & KINDS) == IS_HEAD && record.magic == MAGIC && record.version == VERSION &&
           record.free.pad == TF_KV_TREE_PAGE && take_tree(&record.main, &ret_head->main);
}

/* False: it does not lie within the page. */
static bool take_entry(const uint8_t *page, uint32_t lower, uint32_t index, struct entry *ret_entry)
{
    uint16_t at;
    memcpy(&at, page + sizeof(struct page_start) + index * sizeof(at), sizeof(at));
    if (at < lower || at > TF_KV_TREE_PAGE - sizeof(ret_entry->start))
        return false;
    memcpy(&ret_entry->start, page + at, sizeof(ret_entry->start));
    size_t const room = TF_KV_TREE_PAGE - at - sizeof(ret_entry->start);
    ret_entry->key = page + at + sizeof(ret_entry->start);
    ret_entry->room = room - ret_entry->start.key_length;
    return ret_entry->start.key_length <= room;
}

static int compare(const void *key, size_t key_length, const struct entry *entry)
{
    size_t const shorter = key_length < entry->start.key_length ? key_length : entry->start.key_length;
    int const order = shorter > 0 ? memcmp(key, entry->key, shorter) : 0;
    return order != 0 ? order : (key_length > entry->start.key_length) - (key_length < entry->start.key_length);
}

static enum tf_kv_tree_step found(const struct entry *entry, struct tf_kv_tree_place *ret_place)
{
    size_t const length = entry->start.low | (size_t)entry->start.high << 16;
    const uint8_t *const value = entry->key + entry->start.key_length;
    *ret_place = (struct tf_kv_tree_place){
        .bytes = value, .length = length, .is_tree = entry->start.flags == IS_TREE};
    if (entry->start.flags == IN_OVERFLOW && entry->room >= sizeof(ret_place->page)) {
        memcpy(&ret_place->page, value, sizeof(ret_place->page));
        ret_place->bytes = NULL;
        return TF_KV_TREE_FOUND;
    }
    bool const is_here = (entry->start.flags == 0 || ret_place->is_tree) && length <= entry->room;
    return is_here ? TF_KV_TREE_FOUND : TF_KV_TREE_BROKEN;
}

enum tf_kv_tree_step tf_kv_tree_look(const uint8_t *page, uint64_t number, const void *key, size_t key_length,
                                     struct tf_kv_tree_place *ret_place)
{
    struct page_start start;
    struct entry entry;
    memcpy(&start, page, sizeof(start));
    bool const is_leaf = (start.flags & KINDS) == IS_LEAF;
    uint32_t const count = (start.lower - (uint32_t)sizeof(start)) / sizeof(uint16_t);
    if (start.number != number || (!is_leaf && (start.flags & KINDS) != IS_BRANCH) || start.lower < sizeof(start) ||
        start.lower > TF_KV_TREE_PAGE || (!is_leaf && count == 0))
        return TF_KV_TREE_BROKEN;
    /* The first entry from `low` on whose key is greater. A branch's first key stands for all that are smaller. */
    uint32_t low = is_leaf ? 0 : 1, high = count;
    while (low < high) {
        uint32_t const middle = (low + high) / 2;
        if (!take_entry(page, start.lower, middle, &entry))
            return TF_KV_TREE_BROKEN;
        int const order = compare(key, key_length, &entry);
        if (order == 0 && is_leaf)
            return found(&entry, ret_place);
        if (order >= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (is_leaf)
        return TF_KV_TREE_ABSENT;
    if (!take_entry(page, start.lower, low - 1, &entry))
        return TF_KV_TREE_BROKEN;
    *ret_place = (struct tf_kv_tree_place){
        .page = entry.start.low | (uint64_t)entry.start.high << 16 | (uint64_t)entry.start.flags << 32};
    return TF_KV_TREE_DOWN;
}

bool tf_kv_tree_of_value(const struct tf_kv_tree_place *place, struct tf_kv_tree *ret_tree)
{
    struct tree_record record;
    if (!place->is_tree || place->bytes == NULL || place->length != sizeof(record))
        return false;
    memcpy(&record, place->bytes, sizeof(record));
    return take_tree(&record, ret_tree);
}

size_t tf_kv_tree_long_value(const uint8_t *page, uint64_t number, size_t length)
{
    struct page_start start;
    memcpy(&start, page, sizeof(start));
    uint64_t const room = (start.lower | (uint64_t)start.upper << 16) * TF_KV_TREE_PAGE;
    bool const is_one = start.number == number && (start.flags & KINDS) == IS_OVERFLOW &&
                        room >= sizeof(start) && room - sizeof(start) >= length;
    return is_one ? sizeof(start) : 0;
}
