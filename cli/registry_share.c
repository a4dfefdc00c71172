#include "cli/registry_share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include <terrafirma/abi.h>

/* What broken pulls may leave behind, besides the last one. */
#define PARTIALS_MOST_BYTES ((uint64_t)1 << 30)

void tf_share_entry_tag(const char *entry_name, char ret_tag[TF_REGISTRY_REFERENCE_BYTES])
{
    snprintf(ret_tag, TF_REGISTRY_REFERENCE_BYTES, "s-%.120s", entry_name);
}

void tf_share_source_tag(const char *source_sha256, uint32_t cpu_level, bool is_strict,
                         char ret_tag[TF_REGISTRY_REFERENCE_BYTES])
{
    snprintf(ret_tag, TF_REGISTRY_REFERENCE_BYTES, "p-%.64s-v%" PRIu32 "-%s", source_sha256, cpu_level,
             is_strict ? "strict" : "fast");
}

/* Below tmp/, where what is left behind goes after an hour. */
static int open_tmp(struct tf_cache *cache, struct tf_error *error)
{
    int const fd = openat(tf_cache_folder_fd(cache), "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        tf_error_system(error, "cannot open tmp/ of the cache");
    return fd;
}

static int open_nameless(struct tf_cache *cache, struct tf_error *error)
{
    int const folder_fd = open_tmp(cache, error);
    int const fd = folder_fd < 0 ? -1 : openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (folder_fd >= 0 && fd < 0)
        tf_error_system(error, "cannot write below tmp/ of the cache");
    if (folder_fd >= 0)
        close(folder_fd);
    return fd;
}

/* ---- push ---- */

static int call(struct tf_registry_client *client, uint32_t op, const char *tag, struct tf_registry_item *item, int fd,
                uint64_t until_ns, uint64_t *ret_count, struct tf_error *error)
{
    struct tf_registry_request request = {.op = op, .item = *item};
    struct tf_registry_answer answer;
    snprintf(request.reference, sizeof(request.reference), "%s", tag);
    int const result = tf_registry_call(client, &request, fd, until_ns, &answer, error);
    if (result != TF_OK)
        return result;
    if (op == TF_REGISTRY_PUT_PARCEL) {
        memcpy(item->manifest, answer.item.manifest, sizeof(item->manifest));
        item->manifest_bytes = answer.item.manifest_bytes;
    }
    if (ret_count != NULL)
        *ret_count = answer.count;
    return TF_OK;
}

static int put_tags(struct tf_registry_client *client, struct tf_cache *cache, const struct tf_parcels *parcels,
                    uint64_t until_ns, struct tf_registry_item *item, struct tf_error *error)
{
    struct tf_cache_entry entry;
    char tag[TF_REGISTRY_REFERENCE_BYTES], source[TF_HASH_HEX_BYTES] = "";
    size_t count;
    const struct tf_parcel_entry *const entries = tf_parcels_find(parcels, item->key, &count);
    if (count == 0)
        return call(client, TF_REGISTRY_PUT_PARCEL, "", item, -1, until_ns, NULL, error);
    int result = tf_cache_get(cache, item->key, &entry, error);
    if (result != TF_OK)
        return result;
    for (size_t i = 0; result == TF_OK && i < count; i++) {
        tf_share_entry_tag(entries[i].name, tag);
        result = call(client, TF_REGISTRY_PUT_PARCEL, tag, item, -1, until_ns, NULL, error);
        if (result != TF_OK || strncmp(source, entries[i].name, TF_HASH_HEX_BYTES - 1) == 0)
            continue; /* several compilers' entries of one source lie together */
        snprintf(source, sizeof(source), "%.64s", entries[i].name);
        tf_share_source_tag(source, entry.manifest.cpu_level, (entry.manifest.flags & TF_ABI_STRICT) != 0, tag);
        result = call(client, TF_REGISTRY_PUT_PARCEL, tag, item, -1, until_ns, NULL, error);
    }
    tf_cache_entry_dispose(&entry);
    return result;
}

int tf_share_push(struct tf_registry_client *client, struct tf_cache *cache, const char *key,
                  const struct tf_parcels *parcels, uint64_t until_ns, struct tf_registry_item *ret_item,
                  struct tf_share_report *report, struct tf_error *error)
{
    struct tf_registry_item item = {0};
    struct tf_bundle_report bundle;
    uint8_t digest[TF_HASH_BYTES];
    uint64_t has = 0;
    int const fd = open_nameless(cache, error);
    if (fd < 0)
        return TF_ERR_SYSTEM;
    memcpy(item.key, key, TF_HASH_HEX_BYTES);
    tf_parcels_sum(parcels, key, item.sum);
    int result = tf_parcel_write(cache, key, parcels, fd, &bundle, error);
    if (result == TF_OK && tf_hash_file(fd, digest, &item.blob_bytes) != 0)
        result = tf_error_system(error, "cannot read what is to be sent");
    if (result == TF_OK) {
        tf_hash_hex(digest, item.blob);
        result = call(client, TF_REGISTRY_HAS, "", &item, -1, until_ns, &has, error);
    }
    if (result == TF_OK && has == 0)
        result = call(client, TF_REGISTRY_PUT, "", &item, fd, until_ns, NULL, error);
    if (result == TF_OK)
        result = put_tags(client, cache, parcels, until_ns, &item, error);
    close(fd);
    if (result != TF_OK)
        return result;
    report->artifacts++;
    report->known += has != 0;
    report->bytes += has != 0 ? 0 : item.blob_bytes;
    if (ret_item != NULL)
        *ret_item = item;
    return TF_OK;
}

/* ---- pull ---- */

/* What came of the blob before; its name ends up in *ret_name, "": it has none, as another command is at it. */
static int open_partial(struct tf_cache *cache, const char *sha256, char ret_name[96], int *ret_fd,
                        struct tf_error *error)
{
    int const folder_fd = open_tmp(cache, error);
    if (folder_fd < 0)
        return TF_ERR_SYSTEM;
    snprintf(ret_name, 96, "pull-%.64s", sha256);
    int fd = openat(folder_fd, ret_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    close(folder_fd);
    if (fd < 0)
        return tf_error_system(error, "cannot write below tmp/ of the cache");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        ret_name[0] = '\0';
        fd = open_nameless(cache, error);
        if (fd < 0)
            return TF_ERR_SYSTEM;
    }
    *ret_fd = fd;
    return TF_OK;
}

static void remove_partial(struct tf_cache *cache, const char *name)
{
    int const folder_fd = name[0] != '\0' ? open_tmp(cache, NULL) : -1;
    if (folder_fd < 0)
        return;
    unlinkat(folder_fd, name, 0);
    close(folder_fd);
}

/* After a pull that broke. A registry that breaks every blob at its end would fill the disk with what is kept to go on
 * with: beyond so much of it all goes, but what this one left and what others are at. */
static void bound_partials(struct tf_cache *cache, const char *own)
{
    int const folder_fd = open_tmp(cache, NULL);
    DIR *const list = folder_fd >= 0 ? fdopendir(folder_fd) : NULL;
    uint64_t total = 0;
    if (list == NULL && folder_fd >= 0)
        close(folder_fd);
    for (int pass = 0; list != NULL && pass < 2; pass++, rewinddir(list)) {
        for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
            struct stat status;
            if (strncmp(entry->d_name, "pull-", 5) != 0 || strcmp(entry->d_name, own) == 0)
                continue;
            int const fd = openat(folder_fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
            if (fd < 0)
                continue;
            bool const is_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
            if (is_free && pass == 0 && fstat(fd, &status) == 0)
                total += (uint64_t)status.st_size;
            else if (is_free && pass == 1 && total > PARTIALS_MOST_BYTES)
                unlinkat(folder_fd, entry->d_name, 0);
            close(fd);
        }
    }
    if (list != NULL)
        closedir(list);
}

static int hash_again(int fd, const struct tf_registry_item *item, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    uint64_t bytes = 0;
    if (tf_hash_file(fd, digest, &bytes) != 0)
        return tf_error_system(error, "cannot read what has come");
    tf_hash_hex(digest, hex);
    if (bytes == item->blob_bytes && strcmp(hex, item->blob) == 0)
        return TF_OK;
    return tf_error_set(error, TF_ERR_CORRUPT, "what has come from the registry has another hash");
}

int tf_share_pull(struct tf_registry_client *client, struct tf_cache *cache, const struct tf_registry_item *item,
                  uint64_t until_ns, struct tf_share_report *report, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_GET, .item = *item};
    struct tf_registry_answer answer;
    struct tf_bundle_report bundle;
    struct stat status;
    char name[96];
    int fd = -1;
    int result = open_partial(cache, item->blob, name, &fd, error);
    if (result != TF_OK)
        return result;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size <= item->blob_bytes)
        request.offset = (uint64_t)status.st_size;
    result = tf_registry_call(client, &request, fd, until_ns, &answer, error);
    /* What has come stays for the next time, unless it is known to be wrong. */
    bool const is_kept = result == TF_ERR_SYSTEM || result == TF_ERR_TIMEOUT;
    if (result == TF_OK)
        result = hash_again(fd, item, error);
    if (result == TF_OK && lseek(fd, 0, SEEK_SET) != 0)
        result = tf_error_system(error, "cannot read what has come");
    if (result == TF_OK)
        result = tf_bundle_read(cache, fd, &bundle, error);
    if (!is_kept)
        remove_partial(cache, name);
    else
        bound_partials(cache, name);
    close(fd);
    if (result == TF_OK) {
        report->artifacts++;
        report->bytes += item->blob_bytes - request.offset;
    }
    return result;
}
