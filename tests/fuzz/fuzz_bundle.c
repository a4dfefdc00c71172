/*
 * Any bytes as a bundle. Held: it is taken whole, and then all that is in it verifies; or not at all, and then the
 * cache is as before. The first byte says how the rest becomes a file: as it is (0), or as a recipe for what is in one
 * frame (1), in two (2), in a frame whose byte of a place is another (3, place in 2 bytes, byte), in one that is cut
 * (4, 2 bytes), or behind which something follows (5).
 */
#include "compose.h"

#include <sys/mman.h>
#include <zstd.h>

#include "cache/bundle.h"

static void add_frame(struct tf_buffer *file, const void *bytes, size_t length)
{
    size_t const most = ZSTD_compressBound(length);
    uint8_t *const frame = tf_buffer_extend(file, most);
    fuzz_require(frame != NULL, "no room");
    size_t const got = ZSTD_compress(frame, most, bytes, length, 1);
    fuzz_require(!ZSTD_isError(got), "cannot compress");
    file->length -= most - got;
}

static void make_file(const uint8_t *bytes, size_t length, struct tf_buffer *file)
{
    struct tf_buffer content;
    uint8_t const kind = *bytes++;
    size_t const head = kind == 3 ? 3 : kind == 4 ? 2 : 0;
    if (--length < head)
        return;
    if (kind == 0) {
        tf_buffer_append(file, bytes, length);
        return;
    }
    tf_buffer_init(&content, COMPOSED_MOST);
    recipe_make(bytes + head, length - head, &content);
    size_t const first = kind == 2 ? content.length / 2 : content.length;
    add_frame(file, content.bytes, first);
    if (kind == 2 && content.length > first)
        add_frame(file, content.bytes + first, content.length - first);
    size_t const place = head > 0 ? (bytes[0] | (size_t)bytes[1] << 8) % file->length : 0;
    if (kind == 3)
        file->bytes[place] = bytes[2];
    else if (kind == 4)
        file->length = place;
    else if (kind == 5)
        tf_buffer_append(file, "more", 4);
    tf_buffer_dispose(&content);
}

static void say(void *context, const char *path, const char *why)
{
    (void)context;
    fprintf(stderr, "%s: %s\n", path, why);
}

/* Also an artifact of another ABI may be taken: what builds for two versions keeps both, and hot/ then says so. */
static void check_taken(const struct tf_bundle_report *report)
{
    struct tf_keys keys = {0};
    uint64_t found = 0;
    fuzz_require(tf_cache_list(world.cache, &keys, NULL) == 0 && keys.count == report->artifacts,
                 "other artifacts than it told of");
    for (size_t i = 0; i < keys.count; i++) {
        struct tf_cache_entry entry;
        struct tf_error error = {0};
        int const result = tf_cache_get(world.cache, keys.keys[i], &entry, &error);
        if (result == 0)
            tf_cache_entry_dispose(&entry);
        else
            say(NULL, keys.keys[i], error.text);
        fuzz_require(result == 0 || result == TF_ERR_ABI, "what was taken does not verify");
        fuzz_require(tf_store_read(world.cache, keys.keys[i], NULL, NULL) == 0, "what was stored does not verify");
    }
    tf_keys_dispose(&keys);
    for (uint32_t i = 0; i < ARTIFACTS; i++) {
        char key[TF_HASH_HEX_BYTES];
        if (tf_cache_index_find(world.cache, world.made[i].source, "f", key, NULL) != 0)
            continue;
        found++;
        fuzz_require(strcmp(key, world.made[i].manifest.key) == 0, "a source leads to what belongs to another");
    }
    fuzz_require(found == report->entries, "other entries than it told of");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tf_buffer file;
    struct tf_bundle_report report = {0};
    struct tf_error error = {0};
    if (length == 0)
        return 0;
    world_enter();
    tf_buffer_init(&file, 2 * COMPOSED_MOST);
    make_file(bytes, length, &file);
    int const fd = memfd_create("bundle", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, file.bytes, file.length) == (ssize_t)file.length && lseek(fd, 0, SEEK_SET) == 0,
                 "no file");
    tf_buffer_dispose(&file);
    int const result = tf_bundle_read(world.cache, fd, &report, &error);
    close(fd);
    fuzz_require(result == 0 || (error.code == result && error.text[0] != '\0'), "a refusal without a reason");
    fuzz_require(result == 0 || result == TF_ERR_CORRUPT || result == TF_ERR_TRUST, "an error that is none of bundles");
    fuzz_require(world_is_empty(world.cache->tmp_fd), "something is left in tmp/");
    if (result == 0) {
        check_taken(&report);
        world_empty();
    }
    fuzz_require(world_is_empty(world.cache->store_fd) && world_is_empty(world.cache->hot_fd) &&
                     world_is_empty(world.cache->index_fd),
                 "the cache is not as before");
    return 0;
}
