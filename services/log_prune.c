/* Keeps the folder of the functions' logs within its bounds: what was written to longest ago goes first. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "services/log_functions.h"

struct found {
    uint64_t written_ns, bytes;
};

struct survey {
    struct found *files;
    size_t count, capacity, capacity_most;
    uint64_t bytes;
    uint64_t remove_until_ns; /* 0: only look */
    uint64_t removed;
};

static void note(struct survey *survey, struct found file)
{
    if (survey->count == survey->capacity) {
        size_t const capacity = survey->capacity == 0 ? 256 : survey->capacity * 2;
        struct found *const files =
            capacity > survey->capacity_most ? NULL : realloc(survey->files, capacity * sizeof(*files));
        if (files == NULL)
            return; /* the rest is seen when these are gone */
        survey->files = files;
        survey->capacity = capacity;
    }
    survey->files[survey->count++] = file;
    survey->bytes += file.bytes;
}

static DIR *open_folder(int folder_fd, const char *name)
{
    int const fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *const folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL && fd >= 0)
        close(fd);
    return folder;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void look_at_site(struct survey *survey, int folder_fd, const char *site)
{
    DIR *const folder = open_folder(folder_fd, site);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (is_dots(entry->d_name) || fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            S_ISDIR(status.st_mode))
            continue;
        uint64_t const written_ns =
            (uint64_t)status.st_mtim.tv_sec * TF_NS_PER_S + (uint64_t)status.st_mtim.tv_nsec;
        if (survey->remove_until_ns == 0)
            note(survey, (struct found){written_ns, (uint64_t)status.st_size});
        else if (written_ns <= survey->remove_until_ns && unlinkat(dirfd(folder), entry->d_name, 0) == 0)
            survey->removed++;
    }
    closedir(folder);
    if (survey->remove_until_ns != 0)
        unlinkat(folder_fd, site, AT_REMOVEDIR); /* which only an empty one lets happen */
}

static void look(struct survey *survey, int folder_fd)
{
    DIR *const folder = open_folder(folder_fd, ".");
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!is_dots(entry->d_name))
            look_at_site(survey, folder_fd, entry->d_name);
    }
    closedir(folder);
}

static int by_age(const void *left, const void *right)
{
    const struct found *const a = left, *const b = right;
    return (a->written_ns > b->written_ns) - (a->written_ns < b->written_ns);
}

uint64_t tf_log_prune(int folder_fd, uint64_t files, uint64_t bytes, void (*before_removal)(void *context),
                      void *context)
{
    struct survey survey = {.capacity_most = (size_t)(files < SIZE_MAX / 64 ? files * 4 + 256 : SIZE_MAX / 64)};
    look(&survey, folder_fd);
    if (survey.count > files || survey.bytes > bytes) {
        /* A little more than it must be, so that it need not be done again at once. */
        uint64_t left_files = survey.count, left_bytes = survey.bytes;
        uint64_t const files_aim = files - files / 8, bytes_aim = bytes - bytes / 8;
        qsort(survey.files, survey.count, sizeof(*survey.files), by_age);
        for (size_t i = 0; i < survey.count && (left_files > files_aim || left_bytes > bytes_aim); i++) {
            left_files--;
            left_bytes -= survey.files[i].bytes;
            survey.remove_until_ns = survey.files[i].written_ns;
        }
        before_removal(context);
        if (survey.remove_until_ns != 0)
            look(&survey, folder_fd);
    }
    free(survey.files);
    return survey.removed;
}
