/*
 * A program that calls WASI's functions as published suites do, and says what each answered: a line a call. It wants
 * a writable folder as the first preopen (descriptor 3). tests/e2e/test_wasi_calls.py has what it is to say.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wasi/api.h>

enum { ROOT = 3 };

#define FOLDER (__WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_PATH_OPEN)

static void say(const char *what, unsigned result)
{
    printf("%s: %u\n", what, result);
}

static unsigned open_at(const char *path, __wasi_lookupflags_t lookup, __wasi_oflags_t flags, __wasi_fdflags_t fdflags,
                        __wasi_fd_t *fd)
{
    __wasi_rights_t const rights = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK |
                                   __WASI_RIGHTS_FD_TELL | __WASI_RIGHTS_FD_FILESTAT_GET |
                                   __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS |
                                   __WASI_RIGHTS_FD_FILESTAT_SET_TIMES | __WASI_RIGHTS_FD_ALLOCATE |
                                   __WASI_RIGHTS_FD_ADVISE | __WASI_RIGHTS_FD_SYNC | __WASI_RIGHTS_FD_DATASYNC;
    return __wasi_path_open(ROOT, lookup, path, flags, flags & __WASI_OFLAGS_DIRECTORY ? FOLDER : rights, 0, fdflags,
                            fd);
}

static unsigned make_file(const char *path)
{
    __wasi_fd_t fd;
    unsigned const result = open_at(path, 0, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, 0, &fd);
    return result == 0 ? __wasi_fd_close(fd) : result;
}

static void clocks(void)
{
    __wasi_timestamp_t time = 0, later = 0;
    say("clock_res_get realtime", __wasi_clock_res_get(__WASI_CLOCKID_REALTIME, &time));
    say("clock_res_get monotonic", __wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &time));
    say("clock_time_get realtime", __wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &time));
    say("it is after 2020", time > 1577836800000000000ull);
    say("clock_time_get monotonic", __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &time));
    (void)__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &later);
    say("it does not go back", later >= time);
    say("sched_yield", __wasi_sched_yield());
    uint8_t bytes[64] = {0};
    unsigned sum = 0;
    say("random_get of none", __wasi_random_get(bytes, 0));
    say("random_get", __wasi_random_get(bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++)
        sum += bytes[i];
    say("something came", sum > 0);
}

static void streams(void)
{
    __wasi_fdstat_t stat;
    __wasi_filesize_t at;
    __wasi_size_t done;
    __wasi_ciovec_t const none = {(const uint8_t *)"", 0};
    for (__wasi_fd_t fd = 0; fd < 3; fd++)
        say("fd_fdstat_get of a stream", __wasi_fd_fdstat_get(fd, &stat));
    say("fd_write of nothing", __wasi_fd_write(1, &none, 1, &done));
    say("fd_write of no parts", __wasi_fd_write(1, &none, 0, &done));
    say("fd_write to nobody", __wasi_fd_write(100, &none, 1, &done));
    say("fd_seek of a stream", __wasi_fd_seek(1, 0, __WASI_WHENCE_CUR, &at));
    say("fd_close of nobody", __wasi_fd_close(100));
    say("fd_prestat_get of a stream", __wasi_fd_prestat_get(0, &(__wasi_prestat_t){0}));
    say("fd_readdir of a stream", __wasi_fd_readdir(0, (uint8_t *)&stat, sizeof(stat), 0, &done));
    say("fd_renumber of nobody", __wasi_fd_renumber(100, 101));
}

static void contents(void)
{
    __wasi_fd_t fd;
    __wasi_size_t done = 0;
    __wasi_filesize_t at = 0;
    __wasi_filestat_t stat;
    uint8_t bytes[32];
    __wasi_ciovec_t const out[] = {{(const uint8_t *)"hello ", 6}, {(const uint8_t *)"world", 5}};
    __wasi_iovec_t const in[] = {{bytes, 4}, {bytes + 4, 28}};
    say("create", open_at("file", 0, __WASI_OFLAGS_CREAT, 0, &fd));
    say("fd_write", __wasi_fd_write(fd, out, 2, &done));
    say("bytes", done);
    say("fd_tell", __wasi_fd_tell(fd, &at));
    say("at", (unsigned)at);
    say("fd_read at the end", __wasi_fd_read(fd, in, 2, &done));
    say("bytes", done);
    say("fd_seek before the start", __wasi_fd_seek(fd, -100, __WASI_WHENCE_CUR, &at));
    say("fd_seek", __wasi_fd_seek(fd, -5, __WASI_WHENCE_END, &at));
    say("at", (unsigned)at);
    say("fd_pread", __wasi_fd_pread(fd, in, 2, 2, &done));
    say("bytes", done);
    say("first", bytes[0]);
    say("fd_tell", __wasi_fd_tell(fd, &at));
    say("at", (unsigned)at);
    say("fd_pwrite beyond the end", __wasi_fd_pwrite(fd, out, 1, 20, &done));
    say("fd_filestat_get", __wasi_fd_filestat_get(fd, &stat));
    say("size", (unsigned)stat.size);
    say("type", stat.filetype);
    say("links", (unsigned)stat.nlink);
    say("fd_filestat_set_size", __wasi_fd_filestat_set_size(fd, 3));
    say("fd_filestat_set_times", __wasi_fd_filestat_set_times(fd, 0, 5000000000ull, __WASI_FSTFLAGS_MTIM));
    (void)__wasi_fd_filestat_get(fd, &stat);
    say("size", (unsigned)stat.size);
    say("time", (unsigned)(stat.mtim / 1000000000u));
    say("fd_filestat_set_times both ways",
        __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
    say("fd_fdstat_set_flags append", __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND));
    (void)__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at);
    (void)__wasi_fd_write(fd, out, 1, &done);
    (void)__wasi_fd_filestat_get(fd, &stat);
    say("size", (unsigned)stat.size);
    say("fd_advise", __wasi_fd_advise(fd, 0, 0, __WASI_ADVICE_WILLNEED));
    say("fd_sync", __wasi_fd_sync(fd));
    say("fd_datasync", __wasi_fd_datasync(fd));
    say("fd_close", __wasi_fd_close(fd));
    say("fd_close again", __wasi_fd_close(fd));
    say("truncate", open_at("file", 0, __WASI_OFLAGS_TRUNC, 0, &fd));
    (void)__wasi_fd_filestat_get(fd, &stat);
    say("size", (unsigned)stat.size);
    (void)__wasi_fd_close(fd);
    say("exclusive", open_at("file", 0, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, 0, &fd));
    say("a file as a folder", open_at("file", 0, __WASI_OFLAGS_DIRECTORY, 0, &fd));
    say("missing", open_at("missing", 0, 0, 0, &fd));
    say("path_unlink_file", __wasi_path_unlink_file(ROOT, "file"));
    say("path_unlink_file again", __wasi_path_unlink_file(ROOT, "file"));
}

static void paths(void)
{
    __wasi_fd_t fd;
    __wasi_filestat_t stat;
    say("path_create_directory", __wasi_path_create_directory(ROOT, "d"));
    say("path_create_directory again", __wasi_path_create_directory(ROOT, "d"));
    say("path_create_directory nested", __wasi_path_create_directory(ROOT, "d/e/"));
    say("make", make_file("d/e/file"));
    static const char *const ways[] = {"d/e/file",  "./d/e/file",   "d/../d/e/file", "d//e/./file", "d/e/file/",
                                       "d/e/file/..", "../d",       "d/../../d",     "/d",          "",
                                       ".",         "..",           "d/.",           "d/..",        "d/e/..",
                                       "nothing/../d", "d/e/file/x"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        printf("'%s' ", ways[i]);
        say("path_filestat_get", __wasi_path_filestat_get(ROOT, 0, ways[i], &stat));
    }
    say("remove a folder that is not empty", __wasi_path_remove_directory(ROOT, "d/e"));
    say("remove a file as a folder", __wasi_path_remove_directory(ROOT, "d/e/file"));
    say("unlink a folder", __wasi_path_unlink_file(ROOT, "d/e"));
    say("unlink a folder with a slash", __wasi_path_unlink_file(ROOT, "d/e/"));
    say("path_link", __wasi_path_link(ROOT, 0, "d/e/file", ROOT, "linked"));
    say("path_link onto", __wasi_path_link(ROOT, 0, "d/e/file", ROOT, "linked"));
    say("path_link of a folder", __wasi_path_link(ROOT, 0, "d", ROOT, "d2"));
    say("path_rename", __wasi_path_rename(ROOT, "linked", ROOT, "renamed"));
    say("path_rename of nothing", __wasi_path_rename(ROOT, "linked", ROOT, "renamed"));
    say("path_rename a file onto a folder", __wasi_path_rename(ROOT, "renamed", ROOT, "d"));
    say("path_rename a folder onto a file", __wasi_path_rename(ROOT, "d", ROOT, "renamed"));
    say("path_rename into itself", __wasi_path_rename(ROOT, "d", ROOT, "d/e/d"));
    say("path_rename out", __wasi_path_rename(ROOT, "renamed", ROOT, "../renamed"));
    say("open a folder", open_at("d", 0, __WASI_OFLAGS_DIRECTORY, 0, &fd));
    say("fd_seek of a folder", __wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &(__wasi_filesize_t){0}));
    say("fd_fdstat_set_rights", __wasi_fd_fdstat_set_rights(fd, 0, 0));
    say("fd_close", __wasi_fd_close(fd));
    say("clean", __wasi_path_unlink_file(ROOT, "renamed"));
    say("clean", __wasi_path_unlink_file(ROOT, "d/e/file"));
    say("remove with a slash", __wasi_path_remove_directory(ROOT, "d/e/"));
    say("remove", __wasi_path_remove_directory(ROOT, "d"));
}

static void links(void)
{
    __wasi_fd_t fd;
    __wasi_size_t length = 0;
    __wasi_filestat_t stat;
    uint8_t bytes[16] = {0};
    say("path_symlink dangling", __wasi_path_symlink("target", ROOT, "link"));
    say("path_symlink onto", __wasi_path_symlink("target", ROOT, "link"));
    say("path_symlink absolute", __wasi_path_symlink("/etc/passwd", ROOT, "absolute"));
    say("path_symlink out", __wasi_path_symlink("../..", ROOT, "out"));
    say("path_symlink with a slash", __wasi_path_symlink("target", ROOT, "slashed/"));
    say("path_symlink loop", __wasi_path_symlink("loop", ROOT, "loop"));
    say("path_readlink", __wasi_path_readlink(ROOT, "link", bytes, sizeof(bytes), &length));
    say("bytes", length);
    say("path_readlink of part", __wasi_path_readlink(ROOT, "link", bytes, 3, &length));
    say("bytes", length);
    say("open without following", open_at("link", 0, 0, 0, &fd));
    say("open following", open_at("link", __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, 0, 0, &fd));
    say("open a loop", open_at("loop", __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, 0, 0, &fd));
    say("open through a loop", open_at("loop/x", 0, 0, 0, &fd));
    say("open a way out", open_at("out/etc/passwd", __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, 0, 0, &fd));
    say("stat of a link", __wasi_path_filestat_get(ROOT, 0, "link", &stat));
    say("type", stat.filetype);
    say("stat of what is not there", __wasi_path_filestat_get(ROOT, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "link", &stat));
    say("make", make_file("target"));
    say("stat through the link", __wasi_path_filestat_get(ROOT, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "link", &stat));
    say("type", stat.filetype);
    say("path_readlink of a file", __wasi_path_readlink(ROOT, "target", bytes, sizeof(bytes), &length));
    static const char *const all[] = {"link", "absolute", "out", "loop", "target"};
    for (size_t i = 0; i < 5; i++)
        (void)__wasi_path_unlink_file(ROOT, all[i]);
    say("left", __wasi_path_filestat_get(ROOT, 0, "link", &stat));
}

static void folders(void)
{
    __wasi_fd_t fd, other;
    __wasi_size_t used = 0;
    static uint8_t bytes[4096];
    unsigned entries = 0;
    __wasi_dircookie_t cookie = 0;
    (void)__wasi_path_create_directory(ROOT, "list");
    say("make", make_file("list/a") | make_file("list/b") | make_file("list/c"));
    say("open", open_at("list", 0, __WASI_OFLAGS_DIRECTORY, 0, &fd));
    say("fd_readdir", __wasi_fd_readdir(fd, bytes, sizeof(bytes), 0, &used));
    for (size_t at = 0; at + sizeof(__wasi_dirent_t) <= used; entries++) {
        __wasi_dirent_t entry;
        memcpy(&entry, bytes + at, sizeof(entry));
        cookie = entries == 1 ? entry.d_next : cookie;
        at += sizeof(entry) + entry.d_namlen;
    }
    say("entries", entries);
    say("fd_readdir with a cookie", __wasi_fd_readdir(fd, bytes, sizeof(bytes), cookie, &used));
    say("bytes of three", used == 3 * (sizeof(__wasi_dirent_t) + 1));
    say("fd_readdir into little", __wasi_fd_readdir(fd, bytes, 10, 0, &used));
    say("bytes", used);
    say("fd_readdir into nothing", __wasi_fd_readdir(fd, bytes, 0, 0, &used));
    say("bytes", used);
    (void)open_at("list/a", 0, 0, 0, &other);
    say("fd_readdir of a file", __wasi_fd_readdir(other, bytes, sizeof(bytes), 0, &used));
    say("fd_renumber", __wasi_fd_renumber(other, fd));
    say("the old one", __wasi_fd_close(other));
    say("the new one", __wasi_fd_filestat_get(fd, (__wasi_filestat_t *)bytes));
    say("type", ((__wasi_filestat_t *)bytes)->filetype);
    say("close", __wasi_fd_close(fd));
    say("clean", __wasi_path_unlink_file(ROOT, "list/a") | __wasi_path_unlink_file(ROOT, "list/b") |
                     __wasi_path_unlink_file(ROOT, "list/c") | __wasi_path_remove_directory(ROOT, "list"));
}

static void waiting(void)
{
    __wasi_subscription_t asked[2] = {0};
    __wasi_event_t events[2];
    __wasi_size_t count = 9;
    asked[0].userdata = 7;
    asked[0].u.tag = __WASI_EVENTTYPE_CLOCK;
    asked[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    asked[0].u.u.clock.timeout = 1000000;
    asked[1].userdata = 8;
    asked[1].u.tag = __WASI_EVENTTYPE_FD_WRITE;
    asked[1].u.u.fd_write.file_descriptor = 1;
    say("poll_oneoff of nothing", __wasi_poll_oneoff(asked, events, 0, &count));
    say("poll_oneoff of a clock", __wasi_poll_oneoff(asked, events, 1, &count));
    say("events", count);
    say("who", (unsigned)events[0].userdata);
    say("poll_oneoff of both", __wasi_poll_oneoff(asked, events, 2, &count));
    say("who first", (unsigned)events[0].userdata);
    asked[1].u.u.fd_write.file_descriptor = 100;
    say("poll_oneoff of nobody", __wasi_poll_oneoff(asked + 1, events, 1, &count));
    say("error", count == 1 ? events[0].error : 999);
}

int main(void)
{
    clocks();
    streams();
    contents();
    paths();
    links();
    folders();
    waiting();
    __wasi_prestat_t prestat;
    say("fd_prestat_get", __wasi_fd_prestat_get(ROOT, &prestat));
    say("fd_prestat_get of the next", __wasi_fd_prestat_get(ROOT + 1, &prestat));
    fflush(stdout);
    __wasi_proc_exit(33);
}
