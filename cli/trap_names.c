#include "cli/trap_names.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cache/cache.h"
#include "compiler/wasm_names.h"
#include "h2o-handler/file.h"
#include "sites/class.h"

struct tf_trap_names {
    const struct tf_config *config;
    const char *site, *path;
    struct timespec changed;      /* of the file that was read, and its inode; 0: none was */
    ino_t inode;
    struct tf_buffer source;
    char sha256[TF_HASH_HEX_BYTES];
    struct tf_wasm_names *names;  /* views of source */
    struct tf_cache *cache;       /* NULL: it cannot be opened */
    char key[TF_HASH_HEX_BYTES];  /* an artifact; what is asked for mostly is what was asked for before … */
    bool is_ours;                 /* … and whether it was built from the source */
};

struct tf_trap_names *tf_trap_names_create(const struct tf_config *config, const char *site, const char *path)
{
    struct tf_error error;
    struct tf_trap_names *const names = calloc(1, sizeof(*names));
    if (names == NULL)
        return NULL;
    names->config = config;
    names->site = site;
    names->path = path;
    tf_buffer_init(&names->source, config->limits.module_bytes);
    if (config->root == NULL || tf_cache_open(config->cache, TF_CACHE_READ, &names->cache, &error) != TF_OK)
        names->cache = NULL;
    return names;
}

static void forget(struct tf_trap_names *names)
{
    tf_wasm_names_free(&names->names);
    tf_buffer_clear(&names->source);
    names->inode = 0;
    names->key[0] = '\0';
}

void tf_trap_names_free(struct tf_trap_names **names_pointer)
{
    struct tf_trap_names *const names = *names_pointer;
    if (names == NULL)
        return;
    forget(names);
    tf_buffer_dispose(&names->source);
    tf_cache_close(&names->cache);
    free(names);
    *names_pointer = NULL;
}

/* The function's file, through no link out of its site. */
static int open_source(const struct tf_trap_names *names)
{
    char folder[TF_SITE_NAME_BYTES];
    tf_class_folder_of(names->site, folder);
    int const root_fd = open(names->config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int const site_fd = root_fd >= 0 ? tf_file_open_beneath(root_fd, folder, O_RDONLY | O_DIRECTORY, 0) : -1;
    int const fd = site_fd >= 0 ? tf_file_open_beneath(site_fd, names->path, O_RDONLY | O_NONBLOCK, 0) : -1;
    if (site_fd >= 0)
        close(site_fd);
    if (root_fd >= 0)
        close(root_fd);
    return fd;
}

/* Has the names of what the file holds now. */
static void read_source(struct tf_trap_names *names)
{
    struct stat status;
    struct tf_error error;
    uint8_t digest[TF_HASH_BYTES];
    int const fd = open_source(names);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        forget(names);
    } else if (names->inode != status.st_ino || names->changed.tv_sec != status.st_mtim.tv_sec ||
               names->changed.tv_nsec != status.st_mtim.tv_nsec) {
        forget(names);
        if (tf_file_read_fd(fd, &names->source, &error) == TF_OK) {
            names->inode = status.st_ino;
            names->changed = status.st_mtim;
            tf_hash_bytes(names->source.bytes, names->source.length, digest);
            tf_hash_hex(digest, names->sha256);
            names->names = tf_wasm_names_read(names->source.bytes, names->source.length,
                                              names->config->limits.module_functions);
        }
    }
    if (fd >= 0)
        close(fd);
}

static bool is_wanted(void *context, const char *key)
{
    struct tf_trap_names *const names = context;
    names->is_ours = strcmp(key, names->key) == 0;
    return !names->is_ours;
}

/* Whether the artifact was built from what the file holds now. */
static bool fits(struct tf_trap_names *names, const char *key)
{
    read_source(names);
    if (names->names == NULL)
        return false;
    if (memcmp(names->key, key, TF_HASH_HEX_BYTES - 1) == 0)
        return names->is_ours;
    memcpy(names->key, key, TF_HASH_HEX_BYTES - 1);
    names->key[TF_HASH_HEX_BYTES - 1] = '\0';
    names->is_ours = false;
    tf_cache_index_each(names->cache, names->sha256, is_wanted, names);
    return names->is_ours;
}

/* A failure's line ends in ", in function N at +0xX of KEY" (services/log_line.c). Before that it may hold what a guest
 * said, so it is taken apart from its end. False: it does not end so. `ret_at` is behind N. */
static bool take_apart(const char *line, size_t length, uint32_t *ret_function, size_t *ret_at)
{
    static const char before[] = ", in function ", middle[] = " at +0x", of[] = " of ";
    size_t const key = TF_HASH_HEX_BYTES - 1, of_length = sizeof(of) - 1, middle_length = sizeof(middle) - 1;
    if (length < key + of_length || memcmp(line + length - key - of_length, of, of_length) != 0)
        return false;
    size_t at = length - key - of_length;
    while (at > 0 && strchr("0123456789abcdef", line[at - 1]) != NULL && line[at - 1] != '\0')
        at--;
    if (at < middle_length || memcmp(line + at - middle_length, middle, middle_length) != 0)
        return false;
    size_t const end = at -= middle_length;
    uint64_t function = 0, place = 1;
    for (; at > 0 && line[at - 1] >= '0' && line[at - 1] <= '9' && end - at < 10; at--, place *= 10)
        function += (uint64_t)(line[at - 1] - '0') * place;
    if (at == end || function > UINT32_MAX || at < sizeof(before) - 1 ||
        memcmp(line + at - (sizeof(before) - 1), before, sizeof(before) - 1) != 0)
        return false;
    *ret_function = (uint32_t)function;
    *ret_at = end;
    return true;
}

/* "TIME worker N error …": not what a guest said, whatever that looks like. */
static bool is_failure(const char *line, size_t length)
{
    static const char word[] = " worker ", kind[] = " error ";
    const char *at = memchr(line, ' ', length);
    const char *const end = line + length;
    if (at == NULL || (size_t)(end - at) < sizeof(word) || memcmp(at, word, sizeof(word) - 1) != 0)
        return false;
    at += sizeof(word) - 1;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(end - at) >= sizeof(kind) && memcmp(at, kind, sizeof(kind) - 1) == 0;
}

void tf_trap_names_tell(struct tf_trap_names *names, const char *line, size_t length, struct tf_buffer *ret_line)
{
    uint32_t function;
    size_t at;
    bool const is_named = names != NULL && names->cache != NULL && is_failure(line, length) &&
                          take_apart(line, length, &function, &at) &&
                          fits(names, line + length - (TF_HASH_HEX_BYTES - 1));
    tf_buffer_append(ret_line, line, is_named ? at : length);
    if (!is_named)
        return;
    tf_wasm_names_tell(names->names, function, ret_line);
    tf_buffer_append(ret_line, line + at, length - at);
}
