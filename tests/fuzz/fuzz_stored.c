/*
 * Any bytes as a file of a cache that somebody else may have written: a stored artifact (s), an entry of the index (i),
 * a manifest (m), its signature (g), an object (o) or an image (p) that workers would map. The rest is a recipe. Held:
 * what is found is what was built, whatever the file holds, and what is damaged is put right where that is possible.
 */
#include "compose.h"

#include <zstd.h>

static void write_file(int folder_fd, const char *hex, const char *name, const struct tf_buffer *bytes)
{
    int prefix_fd = -1;
    fuzz_require(tf_cache_open_prefix(folder_fd, hex, true, &prefix_fd, NULL) == 0, "no folder");
    int const fd = openat(prefix_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    fuzz_require(fd >= 0 && write(fd, bytes->bytes, bytes->length) == (ssize_t)bytes->length, "no file");
    close(fd);
    close(prefix_fd);
}

static bool holds(int fd, const void *bytes, size_t length)
{
    uint8_t found[5000];
    return pread(fd, found, sizeof(found), 0) == (ssize_t)length && memcmp(found, bytes, length) == 0;
}

/* Whether it is there, and then it is as it was made. */
static bool look(const struct made *made)
{
    struct tf_cache_entry entry;
    struct tf_error error = {0};
    int const result = tf_cache_get(world.cache, made->manifest.key, &entry, &error);
    if (result != 0) {
        fuzz_require(error.code == result && error.text[0] != '\0' && result != TF_ERR_SYSTEM, "an odd refusal");
        return false;
    }
    const struct tf_manifest *const found = &entry.manifest;
    /* Other numbers were signed by who is trusted: they need not be those of the world. */
    fuzz_require(strcmp(found->key, made->manifest.key) == 0, "another artifact");
    if (found->object_bytes == sizeof(made->object))
        fuzz_require(holds(entry.object_fd, made->object, sizeof(made->object)), "another object");
    if (found->image_bytes == sizeof(made->image))
        fuzz_require(holds(entry.image_fd, made->image, sizeof(made->image)), "another image");
    tf_cache_entry_dispose(&entry);
    return true;
}

static void put(const struct made *made)
{
    fuzz_require(tf_cache_put(world.cache, &made->manifest, made->object, made->image, NULL) == 0, "cannot put");
}

static void stored(const struct made *made, const struct tf_buffer *bytes)
{
    char name[TF_STORE_NAME_BYTES];
    snprintf(name, sizeof(name), "%s.tfa", made->manifest.key);
    write_file(world.cache->store_fd, made->manifest.key, name, bytes);
    bool const has = tf_cache_has(world.cache, made->manifest.key);
    fuzz_require(look(made) == has, "told to be there and not, or the other way round");
}

static void mapped(const struct made *made, const char *name, const struct tf_buffer *bytes)
{
    char path[TF_HASH_HEX_BYTES + 32];
    put(made);
    snprintf(path, sizeof(path), "%s/%s", made->manifest.key, name);
    write_file(world.cache->hot_fd, made->manifest.key, path, bytes);
    look(made);
    fuzz_require(tf_cache_has(world.cache, made->manifest.key) && look(made), "not put right from the store");
}

static void entry(const struct made *made, const struct tf_buffer *bytes)
{
    char name[TF_INDEX_NAME_BYTES], key[TF_HASH_HEX_BYTES];
    tf_cache_index_name(made->source, "f", name);
    write_file(world.cache->index_fd, name, name, bytes);
    int const result = tf_cache_index_find(world.cache, made->source, "f", key, NULL);
    fuzz_require(result == TF_ERR_NOT_FOUND || (result == 0 && strcmp(key, made->manifest.key) == 0),
                 "a source leads to what belongs to another");
}

/* A frame around the recipe's content, or the bytes themselves. */
static void compress(struct tf_buffer *bytes)
{
    struct tf_buffer frame;
    tf_buffer_init(&frame, 2 * COMPOSED_MOST);
    size_t const most = ZSTD_compressBound(bytes->length);
    uint8_t *const room = tf_buffer_extend(&frame, most);
    fuzz_require(room != NULL, "no room");
    frame.length = ZSTD_compress(room, most, bytes->bytes, bytes->length, 1);
    fuzz_require(!ZSTD_isError(frame.length), "cannot compress");
    tf_buffer_dispose(bytes);
    *bytes = frame;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tf_buffer content;
    if (length < 2)
        return 0;
    world_enter();
    const struct made *const made = &world.made[bytes[1] % ARTIFACTS];
    tf_buffer_init(&content, COMPOSED_MOST);
    recipe_make(bytes + 2, length - 2, &content);
    switch (bytes[0]) {
    case 's':
        compress(&content);
        stored(made, &content);
        break;
    case 'S':
        stored(made, &content);
        break;
    case 'm':
        mapped(made, TF_CACHE_MANIFEST_NAME, &content);
        break;
    case 'g':
        mapped(made, TF_CACHE_SIGNATURE_NAME, &content);
        break;
    case 'o':
        mapped(made, TF_CACHE_OBJECT_NAME, &content);
        break;
    case 'p':
        mapped(made, TF_CACHE_IMAGE_NAME, &content);
        break;
    default:
        entry(made, &content);
        break;
    }
    fuzz_require(world_is_empty(world.cache->tmp_fd), "something is left in tmp/");
    tf_buffer_dispose(&content);
    world_empty();
    return 0;
}
