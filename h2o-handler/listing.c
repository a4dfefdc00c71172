#include "h2o-handler/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entries {
    char **names; /* owned; a folder's ends in a slash */
    size_t count;
    bool is_cut;
};

static bool is_servable(const char *name)
{
    if (name[0] == '.')
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\')
            return false;
    }
    return true;
}

static bool is_folder(int fd, const struct dirent *entry, bool *ret_is_listed)
{
    struct stat status;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN && fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        type = S_ISDIR(status.st_mode) ? DT_DIR : S_ISREG(status.st_mode) ? DT_REG : DT_FIFO;
    *ret_is_listed = type == DT_DIR || type == DT_REG || type == DT_LNK;
    return type == DT_DIR;
}

static int add(struct entries *entries, const char *name, bool folder)
{
    size_t const length = strlen(name);
    char *const copy = malloc(length + 2);
    if (copy == NULL)
        return ENOMEM;
    memcpy(copy, name, length);
    copy[length] = folder ? '/' : '\0';
    copy[length + 1] = '\0';
    entries->names[entries->count++] = copy;
    return 0;
}

static int collect(DIR *folder, uint64_t entries_max, struct entries *entries)
{
    const struct dirent *entry;
    entries->names = calloc(entries_max, sizeof(entries->names[0]));
    if (entries->names == NULL)
        return ENOMEM;
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        bool is_listed;
        bool const is_a_folder = is_folder(dirfd(folder), entry, &is_listed);
        if (!is_listed || !is_servable(entry->d_name))
            continue;
        if (entries->count == entries_max) {
            entries->is_cut = true;
            break;
        }
        if (add(entries, entry->d_name, is_a_folder) != 0)
            return ENOMEM;
    }
    return entries->is_cut ? 0 : errno;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append_text(struct tf_buffer *page, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '&' || *text == '<' || *text == '>' || *text == '"' || *text == '\'')
            tf_buffer_printf(page, "&#%d;", *text);
        else
            tf_buffer_append_byte(page, (uint8_t)*text);
    }
}

static void append_link(struct tf_buffer *page, const char *name)
{
    tf_buffer_append_text(page, "<li><a href=\"./");
    for (const char *c = name; *c != '\0'; c++) {
        bool const is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                              strchr("-._~/", *c) != NULL;
        if (is_plain)
            tf_buffer_append_byte(page, (uint8_t)*c);
        else
            tf_buffer_printf(page, "%%%02X", (unsigned char)*c);
    }
    tf_buffer_append_text(page, "\">");
    append_text(page, name);
    tf_buffer_append_text(page, "</a></li>\n");
}

static void write_page(const struct entries *entries, const char *path, struct tf_buffer *page)
{
    tf_buffer_append_text(page, "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>/");
    append_text(page, path);
    tf_buffer_append_text(page, "</title></head>\n<body><h1>/");
    append_text(page, path);
    tf_buffer_append_text(page, "</h1>\n<ul>\n");
    if (path[0] != '\0')
        tf_buffer_append_text(page, "<li><a href=\"../\">../</a></li>\n");
    for (size_t i = 0; i < entries->count; i++)
        append_link(page, entries->names[i]);
    tf_buffer_append_text(page,
                          entries->is_cut ? "</ul>\n<p>There is more.</p></body></html>\n" : "</ul></body></html>\n");
}

int tf_listing_make(int fd, const char *path, uint64_t entries_max, struct tf_buffer *page)
{
    struct entries entries = {0};
    DIR *const folder = fdopendir(fd);
    if (folder == NULL) {
        int const failure = errno;
        close(fd);
        return failure;
    }
    int failure = collect(folder, entries_max, &entries);
    closedir(folder);
    if (failure == 0) {
        qsort(entries.names, entries.count, sizeof(entries.names[0]), compare);
        write_page(&entries, path, page);
        failure = page->failed ? ENOMEM : 0;
    }
    for (size_t i = 0; i < entries.count; i++)
        free(entries.names[i]);
    free(entries.names);
    return failure;
}
