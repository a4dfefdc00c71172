/*
 * A cache, artifacts that it trusts, and content made by a recipe. A fuzzer finds neither a hash nor a signature by
 * itself, so a recipe has words for what only a builder can make, and any other byte stands for itself. The words are
 * WORD and a letter, most of them with the number of an artifact:
 *
 *     K n  its key, 32 bytes         T n  its manifest's text          G n  the signature of that
 *     M n  length in 4 bytes, text and signature                       W n  the same with 8 bytes
 *     U n  as M, signed by a stranger                                  F n field 8 bytes: as M, a number is another
 *     O n  its object                I n  its image                    E n  an entry of a bundle's index
 *     Y n  an entry as in a file     H    SHA-256 of all before        0xa5 the byte itself
 */
#ifndef TF_TESTS_FUZZ_COMPOSE_H
#define TF_TESTS_FUZZ_COMPOSE_H

#include <unistd.h>

#include "base/hash.h"
#include "base/sign.h"
#include "cache/internal.h"
#include "cache/keep.h"
#include "tests/fuzz/fuzz.h"
#include <terrafirma/abi.h>

#define WORD 0xa5
#define COMPOSED_MOST ((size_t)1 << 20)
#define ARTIFACTS 4u

struct made {
    struct tf_manifest manifest;
    struct tf_manifest_function functions[2];
    uint8_t object[64], image[4096];
    char source[TF_HASH_HEX_BYTES];
};

struct world {
    char folder[64];
    struct tf_cache *cache;
    struct tf_trust *stranger;
    struct made made[ARTIFACTS];
};

static inline void world_hash(const void *bytes, size_t length, char ret_hex[TF_HASH_HEX_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(bytes, length, digest);
    tf_hash_hex(digest, ret_hex);
}

/* Two have the same image, one has none, and the image of one begins with its object. */
static inline void world_make(struct made *made, uint32_t number)
{
    char text[32];
    memset(made->object, 'a' + (int)number, sizeof(made->object));
    memset(made->image, number == 0 ? 1 : 2, sizeof(made->image));
    made->functions[0] = (struct tf_manifest_function){0x1000, 90, number};
    made->functions[1] = (struct tf_manifest_function){0x1100, 90, number + 1};
    made->manifest = (struct tf_manifest){
        .abi_version = TF_ABI_VERSION, .cpu_level = 2, .world = 1, .object_bytes = sizeof(made->object),
        .image_bytes = number == 3 ? 0 : sizeof(made->image), .memory_pages_min = 1, .memory_pages_max = 2,
        .canonical_bytes = 9, .toolchain = "tools", .function_count = 2, .functions = made->functions};
    snprintf(text, sizeof(text), "artifact %u", number);
    world_hash(text, strlen(text), made->manifest.key);
    world_hash(text, strlen(text) - 1, made->source);
    made->source[0] = (char)('0' + number);
    world_hash(made->object, sizeof(made->object), made->manifest.object_sha256);
    if (number != 3)
        world_hash(made->image, sizeof(made->image), made->manifest.image_sha256);
}

/* Made once, and left to the end of the process. The key is always the same, so that a run can be repeated. */
static inline void world_write_key(const char *folder, char digit)
{
    char path[192], key[TF_HASH_HEX_BYTES];
    memset(key, digit, sizeof(key) - 1);
    key[sizeof(key) - 1] = '\n';
    snprintf(path, sizeof(path), "%s/private/builder.key", folder);
    int const fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    fuzz_require(fd >= 0 && write(fd, key, sizeof(key)) == sizeof(key), "no key");
    close(fd);
}

static struct world world;

static inline void world_leave(void)
{
    tf_cache_close(&world.cache);
    tf_trust_close(&world.stranger);
    tf_file_remove_tree(AT_FDCWD, world.folder, NULL);
}

static inline void world_enter(void)
{
    char path[128], hex[TF_TRUST_HEX_BYTES];
    if (world.cache != NULL)
        return;
    snprintf(world.folder, sizeof(world.folder), "%s/tf-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_require(mkdtemp(world.folder) != NULL, "no folder");
    atexit(world_leave);
    snprintf(path, sizeof(path), "%s/cache", world.folder);
    fuzz_require(tf_cache_open(path, TF_CACHE_WRITE, &world.cache, NULL) == 0, "no cache");
    snprintf(path, sizeof(path), "%s/stranger", world.folder);
    fuzz_require(tf_trust_open(path, true, &world.stranger, NULL) == 0, "no stranger");
    world_write_key(path, '2');
    snprintf(path, sizeof(path), "%s/cache/trust", world.folder);
    world_write_key(path, '1');
    fuzz_require(tf_trust_own_key(world.cache->trust, hex, NULL) == 0 &&
                     tf_trust_add(world.cache->trust, TF_TRUST_KEY, hex, NULL) == 0,
                 "no trust");
    for (uint32_t i = 0; i < ARTIFACTS; i++)
        world_make(&world.made[i], i);
}

/* Takes all artifacts and entries out of the cache again. */
static inline void world_empty(void)
{
    static const char *const names[] = {"store", "hot", "index"};
    int const folders[] = {world.cache->store_fd, world.cache->hot_fd, world.cache->index_fd};
    for (uint32_t i = 0; i < ARTIFACTS; i++) {
        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
            const char *const name = n < 2 ? world.made[i].manifest.key : world.made[i].source;
            tf_file_remove_tree(folders[n], (char[]){name[0], name[1], '\0'}, NULL);
        }
    }
}

/* Whether nothing lies in a folder of the cache. */
static inline bool world_is_empty(int folder_fd)
{
    int const fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const list = fd >= 0 ? fdopendir(fd) : NULL;
    size_t count = 0;
    fuzz_require(list != NULL, "a folder of the cache is gone");
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count == 2;
}

/* ---- recipes ---- */

struct recipe {
    const uint8_t *bytes;
    size_t length, at;
    struct tf_buffer *out;
};

static inline uint64_t recipe_number(struct recipe *recipe, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes && recipe->at < recipe->length; i++)
        number |= (uint64_t)recipe->bytes[recipe->at++] << (8 * i);
    return number;
}

static inline void recipe_sign(struct tf_trust *trust, enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES],
                               struct tf_signature *ret_signature)
{
    fuzz_require(tf_trust_sign(trust, kind, digest, ret_signature, NULL) == 0, "cannot sign");
}

static inline void recipe_key(struct tf_buffer *out, const char *hex)
{
    for (size_t i = 0; i < TF_HASH_BYTES; i++) {
        unsigned byte = 0;
        fuzz_require(sscanf(hex + 2 * i, "%2x", &byte) == 1, "no key");
        tf_buffer_append_byte(out, (uint8_t)byte);
    }
}

/* The manifest with one number changed, if such a one can be written. */
static inline void recipe_manifest(struct recipe *recipe, char word, const struct tf_manifest *manifest)
{
    struct tf_manifest changed = *manifest;
    struct tf_signature signature;
    struct tf_buffer json;
    uint8_t digest[TF_HASH_BYTES];
    if (word == 'F') {
        uint64_t const field = recipe_number(recipe, 1), value = recipe_number(recipe, 8);
        uint64_t *const numbers[] = {&changed.object_bytes, &changed.image_bytes, &changed.memory_pages_min,
                                     &changed.memory_pages_max, &changed.canonical_bytes};
        if (field < sizeof(numbers) / sizeof(numbers[0]))
            *numbers[field] = value;
        else
            changed.abi_version = (uint32_t)value;
    }
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    if (tf_manifest_write(&changed, &json, NULL) == 0) {
        tf_manifest_digest(json.bytes, json.length, digest);
        recipe_sign(word == 'U' ? world.stranger : world.cache->trust, TF_SIGNED_MANIFEST, digest, &signature);
        for (int i = 0; word != 'T' && word != 'G' && i < (word == 'W' ? 8 : 4); i++)
            tf_buffer_append_byte(recipe->out, (uint8_t)((uint64_t)json.length >> (8 * i)));
        if (word != 'G')
            tf_buffer_append(recipe->out, json.bytes, json.length);
        if (word != 'T')
            tf_buffer_append(recipe->out, &signature, sizeof(signature));
    }
    tf_buffer_dispose(&json);
}

static inline void recipe_entry(struct tf_buffer *out, char word, const struct made *made)
{
    struct tf_index_entry entry;
    struct tf_hash *const hash = tf_hash_create();
    uint8_t digest[TF_HASH_BYTES];
    tf_cache_index_name(made->source, "f", entry.name);
    tf_hash_field(hash, entry.name, strlen(entry.name));
    tf_hash_field(hash, made->manifest.key, strlen(made->manifest.key));
    tf_hash_finish(hash, digest);
    recipe_sign(world.cache->trust, TF_SIGNED_SOURCE, digest, &entry.signature);
    if (word == 'E') {
        tf_buffer_append_byte(out, 1);
        tf_buffer_append(out, entry.name, TF_INDEX_NAME_BYTES - 1);
        recipe_key(out, made->manifest.key);
    } else {
        tf_buffer_append(out, made->manifest.key, TF_HASH_HEX_BYTES - 1);
        tf_buffer_append_byte(out, '\n');
    }
    tf_buffer_append(out, &entry.signature, sizeof(entry.signature));
}

static inline void recipe_word(struct recipe *recipe)
{
    char const word = (char)recipe_number(recipe, 1);
    uint8_t digest[TF_HASH_BYTES];
    if (word == 'H') {
        tf_hash_bytes(recipe->out->bytes, recipe->out->length, digest);
        tf_buffer_append(recipe->out, digest, sizeof(digest));
        return;
    }
    if (word == (char)WORD || word == '\0' || strchr("KTGMWUFOIEY", word) == NULL) {
        tf_buffer_append_byte(recipe->out, word == (char)WORD ? WORD : (uint8_t)word);
        return;
    }
    const struct made *const made = &world.made[recipe_number(recipe, 1) % ARTIFACTS];
    switch (word) {
    case 'K':
        recipe_key(recipe->out, made->manifest.key);
        break;
    case 'O':
        tf_buffer_append(recipe->out, made->object, sizeof(made->object));
        break;
    case 'I':
        tf_buffer_append(recipe->out, made->image, sizeof(made->image));
        break;
    case 'E':
    case 'Y':
        recipe_entry(recipe->out, word, made);
        break;
    default:
        recipe_manifest(recipe, word, &made->manifest);
        break;
    }
}

/* What does not fit is left out. */
static inline void recipe_make(const uint8_t *bytes, size_t length, struct tf_buffer *out)
{
    struct recipe recipe = {bytes, length, 0, out};
    while (recipe.at < length) {
        uint8_t const byte = bytes[recipe.at++];
        if (byte == WORD)
            recipe_word(&recipe);
        else
            tf_buffer_append_byte(out, byte);
    }
}

#endif
