#include "sites/supplied.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct finding {
    int folder_fd;
    struct tf_supplied now;
    size_t capacity, most;
    bool is_over;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

/* Of what a file is, without reading it; 0: there is none. */
static uint64_t stamp_of(int folder_fd, const char *name)
{
    struct stat status;
    if (name == NULL || fstatat(folder_fd, name, &status, 0) != 0 || !S_ISREG(status.st_mode))
        return 0;
    uint64_t hash = mix((uint64_t)status.st_ino, (uint64_t)status.st_size);
    hash = mix(hash, (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec);
    hash = mix(hash, (uint64_t)status.st_ctim.tv_sec * 1000000000u + (uint64_t)status.st_ctim.tv_nsec);
    return hash | 1;
}

static void add(struct finding *finding, const char *chain_name, const char *key_name)
{
    struct tf_supplied *const now = &finding->now;
    uint64_t const chain = stamp_of(finding->folder_fd, chain_name);
    uint64_t const key = stamp_of(finding->folder_fd, key_name);
    if (chain == 0)
        return;
    if (now->count == finding->most) {
        finding->is_over = true;
        return;
    }
    if (now->count == finding->capacity) {
        size_t const capacity = finding->capacity > 0 ? finding->capacity * 2 : 16;
        struct tf_supplied_file *const files = reallocarray(now->files, capacity, sizeof(*files));
        if (files == NULL)
            return;
        now->files = files;
        finding->capacity = capacity;
    }
    struct tf_supplied_file file = {.chain_name = strdup(chain_name), .stamp = mix(chain, key)};
    if (key != 0)
        file.key_name = strdup(key_name);
    if (file.chain_name == NULL || (key != 0 && file.key_name == NULL)) {
        free(file.chain_name);
        free(file.key_name);
        return;
    }
    now->files[now->count++] = file;
}

static void consider(struct finding *finding, const char *name)
{
    char chain[300], key[300];
    size_t const length = strlen(name);
    struct stat status;
    if (name[0] == '.' || length > 255 || fstatat(finding->folder_fd, name, &status, 0) != 0)
        return;
    if (S_ISDIR(status.st_mode)) {
        snprintf(chain, sizeof(chain), "%s/fullchain.pem", name);
        snprintf(key, sizeof(key), "%s/privkey.pem", name);
        add(finding, chain, key);
    } else if (length > 4 && (strcmp(name + length - 4, ".pem") == 0 || strcmp(name + length - 4, ".crt") == 0)) {
        snprintf(key, sizeof(key), "%.*s.key", (int)length - 4, name);
        add(finding, name, key);
    }
}

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct tf_supplied_file *)left)->chain_name,
                  ((const struct tf_supplied_file *)right)->chain_name);
}

static void free_file(struct tf_supplied_file *file)
{
    free(file->chain_name);
    free(file->key_name);
    free(file->failure);
    tf_certificate_destroy(&file->certificate);
}

/* What is in use goes on, unless the files changed and make sense. True: something else is in use now. */
static bool take_over(const struct finding *finding, struct tf_supplied_file *file, struct tf_supplied_file *before)
{
    struct tf_error error;
    uint64_t const stamp = file->stamp;
    if (before != NULL) {
        file->certificate = before->certificate;
        file->failed_stamp = before->failed_stamp;
        before->certificate = NULL;
        file->stamp = before->stamp;
        if (stamp == before->failed_stamp) {
            file->failure = before->failure;
            before->failure = NULL;
        }
        if (stamp == before->stamp || stamp == before->failed_stamp)
            return false;
    }
    struct tf_certificate *certificate = NULL;
    if (tf_certificate_load(finding->folder_fd, file->chain_name, file->key_name, &certificate, &error) != TF_OK) {
        fprintf(stderr, "terrafirma: certificates: %s%s\n", error.text,
                file->certificate != NULL ? "; the one before it stays in use" : "");
        file->failed_stamp = stamp;
        file->failure = strdup(error.text);
        file->stamp = before != NULL ? before->stamp : 0;
        return false;
    }
    tf_certificate_destroy(&file->certificate);
    file->certificate = certificate;
    file->stamp = stamp;
    file->failed_stamp = 0;
    return true;
}

bool tf_supplied_look(struct tf_supplied *supplied, const char *folder, size_t most)
{
    struct finding finding = {.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .most = most};
    DIR *const list = finding.folder_fd >= 0 ? fdopendir(dup(finding.folder_fd)) : NULL;
    if (list == NULL) {
        /* A folder that is away for a moment (a mount, a rename) takes nothing out of use. */
        if (finding.folder_fd >= 0)
            close(finding.folder_fd);
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
        consider(&finding, entry->d_name);
    closedir(list);
    struct tf_supplied now = finding.now;
    bool has_changed = false;
    if (now.count > 0)
        qsort(now.files, now.count, sizeof(now.files[0]), compare);
    for (size_t i = 0; i < now.count; i++) {
        struct tf_supplied_file *before = NULL;
        if (supplied->count > 0)
            before = bsearch(&now.files[i], supplied->files, supplied->count, sizeof(now.files[0]), compare);
        has_changed |= take_over(&finding, &now.files[i], before);
    }
    for (size_t i = 0; i < supplied->count; i++) /* what was not taken over is gone */
        has_changed |= supplied->files[i].certificate != NULL;
    if (finding.is_over && has_changed)
        fprintf(stderr, "terrafirma: certificates: more than %zu are supplied; the others are not used\n", most);
    tf_supplied_dispose(supplied);
    *supplied = now;
    close(finding.folder_fd);
    return has_changed;
}

void tf_supplied_dispose(struct tf_supplied *supplied)
{
    for (size_t i = 0; i < supplied->count; i++)
        free_file(&supplied->files[i]);
    free(supplied->files);
    *supplied = (struct tf_supplied){0};
}
