/*
 * Following a path, name by name. What is still to follow is text in the place; a link's target goes in front of it, so
 * nothing recurses, and the number of links is bounded.
 */
#include <string.h>

#include "runtime/worlds/wasi_tree.h"

#define LINKS_MAX 32

/* Well-formed UTF-8 (RFC 3629), which is what WASI's paths are. */
static bool is_utf8(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint8_t const lead = bytes[i++];
        unsigned more = 0;
        uint8_t least = 0x80, most = 0xbf;
        if (lead < 0x80)
            continue;
        if (lead >= 0xc2 && lead <= 0xdf) {
            more = 1;
        } else if (lead >= 0xe0 && lead <= 0xef) {
            more = 2;
            least = lead == 0xe0 ? 0xa0 : 0x80;
            most = lead == 0xed ? 0x9f : 0xbf;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
            more = 3;
            least = lead == 0xf0 ? 0x90 : 0x80;
            most = lead == 0xf4 ? 0x8f : 0xbf;
        } else {
            return false;
        }
        for (; more > 0; more--) {
            if (i == length || bytes[i] < least || bytes[i] > most)
                return false;
            i++;
            least = 0x80;
            most = 0xbf;
        }
    }
    return true;
}

struct walk {
    struct tf_wasi *wasi;
    struct tf_wasi_node *start, *at;
    size_t name_end, position, length; /* in the place's text: of this name, where the next begins, of all */
    unsigned links;
};

/* Puts a link's target where its name was. */
static uint32_t splice(struct walk *walk, struct tf_wasi_place *place, const struct tf_wasi_node *link)
{
    size_t const rest = walk->length - walk->name_end;
    if (++walk->links > LINKS_MAX)
        return TF_WASI_LOOP;
    if (link->size == 0)
        return TF_WASI_NOENT;
    if (link->bytes[0] == '/')
        return TF_WASI_PERM;
    if (link->size > sizeof(place->text) - rest)
        return TF_WASI_NAMETOOLONG;
    memmove(place->text + link->size, place->text + walk->name_end, rest);
    memcpy(place->text, link->bytes, link->size);
    walk->position = 0;
    walk->length = link->size + rest;
    return TF_WASI_OK;
}

/* The next name; the slashes behind it are passed over. `is_last`: nothing but slashes follows. */
static struct tf_text next_name(struct walk *walk, const struct tf_wasi_place *place, bool *ret_is_last,
                                bool *ret_slash)
{
    struct tf_text name = {place->text + walk->position, 0};
    while (walk->position < walk->length && place->text[walk->position] != '/') {
        walk->position++;
        name.length++;
    }
    walk->name_end = walk->position;
    *ret_slash = walk->position < walk->length;
    while (walk->position < walk->length && place->text[walk->position] == '/')
        walk->position++;
    *ret_is_last = walk->position == walk->length;
    return name;
}

static bool is_text(struct tf_text name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.bytes, text, name.length) == 0;
}

/* One step. `ret_done`: that was the last. */
static uint32_t step(struct walk *walk, struct tf_wasi_place *place, bool follows_last, bool *ret_done)
{
    bool is_last, slash;
    struct tf_text const name = next_name(walk, place, &is_last, &slash);
    *ret_done = false;
    if (name.length > TF_WASI_NAME_MAX)
        return TF_WASI_NAMETOOLONG;
    if (walk->at->type != TF_WASI_TYPE_DIRECTORY)
        return TF_WASI_NOTDIR;
    if (name.length == 0 || is_text(name, ".") || is_text(name, "..")) {
        if (name.length == 2 && walk->at == walk->start)
            return TF_WASI_PERM;
        walk->at = name.length == 2 ? walk->at->parent : walk->at;
        if (is_last) {
            place->node = walk->at;
            place->wants_folder = true;
            *ret_done = true;
        }
        return TF_WASI_OK;
    }
    uint32_t const result = tf_wasi_site_read(walk->wasi, walk->at);
    if (result != TF_WASI_OK)
        return result;
    struct tf_wasi_node *const node = tf_wasi_find(walk->at, name);
    if (node != NULL && node->type == TF_WASI_TYPE_SYMLINK && (!is_last || slash || follows_last))
        return splice(walk, place, node);
    if (node == NULL && !is_last)
        return TF_WASI_NOENT;
    if (is_last) {
        place->folder = walk->at;
        place->node = node;
        place->name = name;
        place->wants_folder = slash;
        *ret_done = true;
    }
    walk->at = node;
    return TF_WASI_OK;
}

static uint32_t follow(struct tf_wasi *wasi, struct tf_wasi_node *start, size_t length, bool follows_last,
                       struct tf_wasi_place *place)
{
    struct walk walk = {.wasi = wasi, .start = start, .at = start, .length = length};
    place->folder = place->node = NULL;
    place->name = (struct tf_text){NULL, 0};
    place->wants_folder = false;
    if (length == 0)
        return TF_WASI_NOENT;
    if (memchr(place->text, 0, length) != NULL)
        return TF_WASI_INVAL;
    if (!is_utf8((const uint8_t *)place->text, length))
        return TF_WASI_ILSEQ;
    if (place->text[0] == '/')
        return TF_WASI_PERM;
    for (bool done = false; !done;) {
        uint32_t const result = step(&walk, place, follows_last, &done);
        if (result != TF_WASI_OK)
            return result;
    }
    return place->wants_folder && place->node != NULL && place->node->type != TF_WASI_TYPE_DIRECTORY ? TF_WASI_NOTDIR
                                                                                                    : TF_WASI_OK;
}

uint32_t tf_wasi_follow_text(struct tf_wasi *wasi, struct tf_wasi_node *start, struct tf_text path, bool follows_last,
                             struct tf_wasi_place *ret_place)
{
    if (path.length > TF_WASI_PATH_MAX)
        return TF_WASI_NAMETOOLONG;
    memcpy(ret_place->text, path.bytes, path.length);
    return follow(wasi, start, path.length, follows_last, ret_place);
}

uint32_t tf_wasi_follow(struct tf_wasi *wasi, struct tf_wasi_node *start, uint32_t path, uint32_t length,
                        bool follows_last, struct tf_wasi_place *ret_place)
{
    const uint8_t *const bytes = tf_wasi_look(wasi, path, length);
    if (bytes == NULL)
        return TF_WASI_FAULT;
    return tf_wasi_follow_text(wasi, start, (struct tf_text){(const char *)bytes, length}, follows_last, ret_place);
}
