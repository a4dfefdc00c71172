/*
 * hello.wasm.txt beside hello.wasm: what became of the upload, for who has nothing but the folder.
 *
 * The folder is a stranger's: nothing there is followed, a file that is not ours is left alone, and a folder that takes
 * no files costs one message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "watcher/internal.h"

#define REPORT_BYTES 4096
#define NAME_MAX_BYTES 255
#define NAME_BYTES (NAME_MAX_BYTES + sizeof("..txt.tmp"))
/* How a report begins, and so how one is known. */
static const char head[] = "# Terrafirma, on ";

static void line(struct tf_buffer *text, const char *name, const char *value)
{
    char printable[TF_ERROR_TEXT_BYTES * 2];
    if (value[0] != '\0')
        tf_buffer_printf(text, "%-9s%s\n", name, tf_printable(value, printable, sizeof(printable)));
}

static void compose(const struct tf_item *item, struct tf_buffer *text)
{
    tf_buffer_init(text, REPORT_BYTES - 1);
    char name[TF_ERROR_TEXT_BYTES * 2], built[160];
    tf_buffer_printf(text, "%s%s. This file is written by the server, and replaced.\n\n", head,
                     tf_printable(item->node.name, name, sizeof(name)));
    line(text, "state:", tf_route_state_name(item->state));
    if (item->state == TF_ROUTE_LIVE && item->source_sha256[0] != '\0') {
        line(text, "version:", item->source_sha256);
        snprintf(built, sizeof(built), "%s, %llu bytes, %llu ms, %s tier", item->built_at,
                 (unsigned long long)item->source_bytes, (unsigned long long)item->build_ms, tf_tier_name(item->tier));
        line(text, "built:", built);
        line(text, "note:", item->tier_note);
    }
    if (item->error == NULL)
        return;
    tf_buffer_append_text(text, item->key[0] != '\0' ? "\nThe newest upload is not live; the version before it is:\n"
                                                     : "\nNothing is live:\n");
    line(text, "error:", item->error->text);
    line(text, "kind:", tf_error_name(item->error->code));
    line(text, "upload:", item->error->source_sha256);
    line(text, "at:", item->error->at);
}

static void say(const struct tf_item *item, const char *why)
{
    struct tf_site *site = item->node.parent->site;
    if (site->said_report)
        return;
    site->said_report = true;
    char *path = tf_tree_path(&item->node, false), text[512];
    tf_watcher_log("%s.txt: %s: the site goes without such reports", tf_printable(path, text, sizeof(text)), why);
    free(path);
}

/* Equal but for when and how fast it was built: a server that starts anew has nothing new to tell. */
static bool says_the_same(const char *old, const char *new)
{
    static const char built[] = "\nbuilt:";
    const char *const old_built = strstr(old, built), *const new_built = strstr(new, built);
    if (old_built == NULL || new_built == NULL)
        return strcmp(old, new) == 0;
    size_t const length = (size_t)(old_built - old);
    return length == (size_t)(new_built - new) && memcmp(old, new, length) == 0 &&
           strcmp(strchrnul(old_built + 1, '\n'), strchrnul(new_built + 1, '\n')) == 0;
}

enum there { THERE_NOTHING, THERE_SAME, THERE_OURS, THERE_FOREIGN };

/* What has the report's name now. `text` NULL: only whether it is ours. */
static enum there what_is_there(int fd, const char *name, const struct tf_buffer *text)
{
    int const file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (file < 0)
        return errno == ENOENT ? THERE_NOTHING : THERE_FOREIGN;
    char bytes[REPORT_BYTES];
    struct stat status;
    enum there there = THERE_FOREIGN;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
        ssize_t const got = read(file, bytes, sizeof(bytes) - 1);
        bytes[got > 0 ? got : 0] = '\0';
        if (strncmp(bytes, head, strlen(head)) == 0)
            there = text != NULL && says_the_same(bytes, (const char *)text->bytes) ? THERE_SAME : THERE_OURS;
    }
    close(file);
    return there;
}

/* Not on the disk when it returns: it is written anew after the next start. -1 with errno. */
static int put(int fd, const char *name, const struct tf_buffer *text)
{
    char temporary[NAME_BYTES];
    struct tf_error error;
    snprintf(temporary, sizeof(temporary), ".%.*s.tmp", NAME_MAX_BYTES, name);
    int file = openat(fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0 && errno == EEXIST && unlinkat(fd, temporary, 0) == 0) /* of a run that was cut short */
        file = openat(fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0)
        return -1;
    int result = tf_file_write_all(file, text->bytes, text->length, &error) == TF_OK ? 0 : -1;
    int const saved = errno;
    close(file);
    if (result == 0)
        result = renameat(fd, temporary, fd, name);
    else
        errno = saved;
    if (result != 0) {
        int const why = errno;
        unlinkat(fd, temporary, 0);
        errno = why;
    }
    return result;
}

static bool report_name(const char *name, char ret_name[NAME_BYTES])
{
    return (size_t)snprintf(ret_name, NAME_BYTES, "%s.txt", name) <= NAME_MAX_BYTES - sizeof(".tmp");
}

static void write_one(struct tf_item *item, int fd)
{
    char name[NAME_BYTES];
    struct tf_buffer text;
    item->report_dirty = false;
    if (item->node.parent->site->said_report || !report_name(item->node.name, name))
        return;
    compose(item, &text);
    tf_buffer_append_byte(&text, '\0');
    text.length--; /* a string, too */
    if (!text.failed) {
        switch (what_is_there(fd, name, &text)) {
        case THERE_SAME:
            break;
        case THERE_FOREIGN:
            say(item, "a file of that name is there, and not the server's");
            break;
        case THERE_NOTHING:
        case THERE_OURS:
            if (put(fd, name, &text) != 0)
                say(item, strerror(errno));
        }
    }
    tf_buffer_dispose(&text);
}

static void write_folder(struct tf_watcher *watcher, struct tf_folder *folder)
{
    int fd = -1;
    for (struct tf_node *node = folder->nodes; node != NULL; node = node->next) {
        if (node->is_folder) {
            write_folder(watcher, (struct tf_folder *)node);
            continue;
        }
        struct tf_item *const item = (struct tf_item *)node;
        /* While it is built there is nothing to tell, and a name or link that is not served gets no file. */
        if (!item->report_dirty || !item->is_served || (item->state == TF_ROUTE_BUILDING && item->error == NULL))
            continue;
        if (fd < 0)
            fd = tf_tree_open(watcher, folder);
        if (fd >= 0)
            write_one(item, fd);
    }
    if (fd >= 0)
        close(fd);
}

void tf_reports_write(struct tf_watcher *watcher)
{
    if (watcher->config->writes_reports && watcher->root_fd >= 0)
        write_folder(watcher, watcher->root);
}

void tf_report_remove(struct tf_watcher *watcher, int fd, const char *name)
{
    char report[NAME_BYTES];
    if (watcher->config->writes_reports && report_name(name, report) && what_is_there(fd, report, NULL) == THERE_OURS)
        unlinkat(fd, report, 0);
}
