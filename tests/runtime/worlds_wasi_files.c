/* WASI's files: folders in memory, read-only and writable, and every way out of them. */
#include <stddef.h>
#include <string.h>

#include "../check.h"
#include "worlds_fake.h"

#define END FAKE_MEMORY_BYTES
#define OUT 60000u
#define H (&guest->header)
#define ERROR(call, expected)                                                                      \
    do {                                                                                           \
        uint32_t const answered = (call);                                                          \
        CHECK_MESSAGE(answered == (expected), "%u, expected %u", answered, (unsigned)(expected));  \
    } while (0)

enum { READ_ONLY = 3, WRITABLE = 4, ALL_RIGHTS = 0x0fffffff };

static struct tf_program_file const files[] = {
    {.kind = TF_PROGRAM_FILE, .path = {"a", 1}, .bytes = {"contents", 8}, .modified_ns = 5},
    {.kind = TF_PROGRAM_FOLDER, .path = {"d", 1}},
    {.kind = TF_PROGRAM_FILE, .path = {"d/b", 3}, .bytes = {"b", 1}},
    {.kind = TF_PROGRAM_LINK, .path = {"d/up", 4}, .bytes = {"../a", 4}},
    {.kind = TF_PROGRAM_LINK, .path = {"out", 3}, .bytes = {"../a", 4}},
    {.kind = TF_PROGRAM_LINK, .path = {"far", 3}, .bytes = {"d/../../x", 9}},
    {.kind = TF_PROGRAM_LINK, .path = {"root", 4}, .bytes = {"/a", 2}},
    {.kind = TF_PROGRAM_LINK, .path = {"round", 5}, .bytes = {"trip", 4}},
    {.kind = TF_PROGRAM_LINK, .path = {"trip", 4}, .bytes = {"round", 5}},
    {.kind = TF_PROGRAM_LINK, .path = {"self", 4}, .bytes = {"self/self", 9}},
    {.kind = TF_PROGRAM_FILE, .path = {"../evil", 7}, .bytes = {"x", 1}},
    {.kind = TF_PROGRAM_FILE, .path = {"/evil", 5}, .bytes = {"x", 1}},
};

static struct tf_guest *start(void)
{
    static struct tf_program_folder const folders[] = {
        {.name = "/", .files = files, .file_count = sizeof(files) / sizeof(files[0])},
        {.name = "/tmp", .is_writable = true, .files = files, .file_count = 3},
    };
    static struct tf_program const program = {.is_command = true, .folders = folders, .folder_count = 2};
    struct tf_guest *const guest = fake_reset();
    guest->world = TF_WORLD_CGI;
    guest->request.program = &program;
    return guest;
}

static uint32_t put_path(struct tf_guest *guest, uint32_t at, const char *path)
{
    fake_put(guest, at, path, strlen(path));
    return (uint32_t)strlen(path);
}

static uint32_t open_at(struct tf_guest *guest, uint32_t folder, const char *path, uint32_t flags, uint64_t rights)
{
    uint32_t const length = put_path(guest, 1000, path);
    return tf_wasi_path_open(H, folder, TF_WASI_FOLLOW, 1000, length, flags, rights, rights, 0, OUT);
}

static uint32_t at_path(struct tf_guest *guest, uint32_t (*call)(void *, uint32_t, uint32_t, uint32_t),
                        uint32_t folder, const char *path)
{
    uint32_t const length = put_path(guest, 1000, path);
    return call(H, folder, 1000, length);
}

static uint32_t stat_at(struct tf_guest *guest, uint32_t folder, const char *path, uint32_t follow)
{
    uint32_t const length = put_path(guest, 1000, path);
    return tf_wasi_path_filestat_get(H, folder, follow, 1000, length, OUT);
}

static uint32_t write_fd(struct tf_guest *guest, uint32_t fd, const char *text)
{
    uint32_t const vector[] = {2000, put_path(guest, 2000, text)};
    fake_put(guest, 500, vector, sizeof(vector));
    return tf_wasi_fd_write(H, fd, 500, 1, OUT);
}

static uint32_t read_fd(struct tf_guest *guest, uint32_t fd, uint32_t length)
{
    uint32_t const vector[] = {3000, length};
    memset(guest->memory + 3000, 0, length);
    fake_put(guest, 500, vector, sizeof(vector));
    return tf_wasi_fd_read(H, fd, 500, 1, OUT);
}

static uint64_t size_at(const struct tf_guest *guest)
{
    return fake_u32(guest, OUT + 32);
}

static void folders_are_given_by_name(void)
{
    struct tf_guest *const guest = start();
    ERROR(tf_wasi_fd_prestat_get(H, WRITABLE, 33), TF_WASI_OK);
    CHECK(guest->memory[33] == 0 && fake_u32(guest, 37) == 4);
    ERROR(tf_wasi_fd_prestat_dir_name(H, WRITABLE, 41, 4), TF_WASI_OK);
    CHECK(memcmp(guest->memory + 41, "/tmp\0", 5) == 0);
    ERROR(tf_wasi_fd_prestat_dir_name(H, WRITABLE, 41, 3), TF_WASI_NAMETOOLONG);
    ERROR(tf_wasi_fd_prestat_dir_name(H, WRITABLE, 41, 100), TF_WASI_OK);
    ERROR(tf_wasi_fd_prestat_dir_name(H, WRITABLE, END - 3, 4), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_prestat_get(H, WRITABLE, END - 7), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_prestat_get(H, 5, 0), TF_WASI_BADF);
    ERROR(tf_wasi_fd_close(H, READ_ONLY), TF_WASI_OK);
    ERROR(tf_wasi_fd_prestat_get(H, READ_ONLY, 33), TF_WASI_BADF);
}

static void no_path_leads_out(void)
{
    struct tf_guest *const guest = start();
    static const struct {
        const char *path;
        uint32_t error;
    } paths[] = {
        {"a", TF_WASI_OK},           {"./a", TF_WASI_OK},           {"d/../a", TF_WASI_OK},
        {"d/up", TF_WASI_OK},        {"d//.//..///d/./b", TF_WASI_OK}, {"d", TF_WASI_OK},
        {".", TF_WASI_OK},           {"d/", TF_WASI_OK},            {"d/..", TF_WASI_OK},
        {"..", TF_WASI_PERM},        {"../a", TF_WASI_PERM},        {"d/../../a", TF_WASI_PERM},
        {"/a", TF_WASI_PERM},        {"/", TF_WASI_PERM},           {"out", TF_WASI_PERM},
        {"far", TF_WASI_PERM},       {"root", TF_WASI_PERM},        {"./../tmp/a", TF_WASI_PERM},
        {"round", TF_WASI_LOOP},     {"self", TF_WASI_LOOP},        {"a/", TF_WASI_NOTDIR},
        {"a/..", TF_WASI_NOTDIR},    {"a/b", TF_WASI_NOTDIR},       {"x", TF_WASI_NOENT},
        {"x/../a", TF_WASI_NOENT},   {"", TF_WASI_NOENT},           {"evil", TF_WASI_NOENT},
        {"a\xff", TF_WASI_ILSEQ},    {"a\xc0\xaf", TF_WASI_ILSEQ},  {"\xed\xa0\x80", TF_WASI_ILSEQ},
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        uint32_t const error = open_at(guest, READ_ONLY, paths[i].path, 0, TF_WASI_FD_READ);
        CHECK_MESSAGE(error == paths[i].error, "%s: %u, expected %u", paths[i].path, error, paths[i].error);
        if (error == TF_WASI_OK)
            tf_wasi_fd_close(H, fake_u32(guest, OUT));
    }
    /* From a folder inside, its parent is out, too. */
    ERROR(open_at(guest, READ_ONLY, "d", TF_WASI_DIRECTORY, ALL_RIGHTS & ~TF_WASI_FD_WRITE), TF_WASI_OK);
    uint32_t const inside = fake_u32(guest, OUT);
    ERROR(open_at(guest, inside, "b", 0, TF_WASI_FD_READ), TF_WASI_OK);
    ERROR(open_at(guest, inside, "../a", 0, TF_WASI_FD_READ), TF_WASI_PERM);
    ERROR(open_at(guest, inside, "up", 0, TF_WASI_FD_READ), TF_WASI_PERM);
    fake_put(guest, 1000, "a\0b", 3);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, 1000, 3, 0, 0, 0, 0, OUT), TF_WASI_INVAL);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, END - 3, 4, 0, 0, 0, 0, OUT), TF_WASI_FAULT);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, 1000, 1, 0, 0, 0, 0, END - 3), TF_WASI_FAULT);
    memset(guest->memory + 1000, 'a', 5000);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, 1000, 5000, 0, 0, 0, 0, OUT), TF_WASI_NAMETOOLONG);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, 1000, 256, 0, 0, 0, 0, OUT), TF_WASI_NAMETOOLONG);
    ERROR(tf_wasi_path_open(H, READ_ONLY, 0, 1000, UINT32_MAX, 0, 0, 0, 0, OUT), TF_WASI_FAULT);
}

static void read_only_is_read_only(void)
{
    struct tf_guest *const guest = start();
    ERROR(open_at(guest, READ_ONLY, "a", 0, TF_WASI_FD_READ | TF_WASI_FD_WRITE), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, READ_ONLY, "new", TF_WASI_CREAT, TF_WASI_FD_READ), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, READ_ONLY, "a", TF_WASI_TRUNC, 0), TF_WASI_NOTCAPABLE);
    ERROR(at_path(guest, tf_wasi_path_create_directory, READ_ONLY, "n"), TF_WASI_NOTCAPABLE);
    ERROR(at_path(guest, tf_wasi_path_unlink_file, READ_ONLY, "a"), TF_WASI_NOTCAPABLE);
    ERROR(at_path(guest, tf_wasi_path_remove_directory, READ_ONLY, "d"), TF_WASI_NOTCAPABLE);
    put_path(guest, 1000, "a");
    put_path(guest, 1100, "n");
    ERROR(tf_wasi_path_rename(H, READ_ONLY, 1000, 1, WRITABLE, 1100, 1), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_path_link(H, READ_ONLY, 0, 1000, 1, WRITABLE, 1100, 1), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_path_symlink(H, 1000, 1, READ_ONLY, 1100, 1), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_path_filestat_set_times(H, READ_ONLY, 0, 1000, 1, 0, 0, 2), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, READ_ONLY, "a", 0, ALL_RIGHTS & ~(TF_WASI_FD_WRITE)), TF_WASI_OK);
    uint32_t const fd = fake_u32(guest, OUT);
    ERROR(write_fd(guest, fd, "x"), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_allocate(H, fd, 0, 9), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_filestat_set_size(H, fd, 0), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_filestat_set_times(H, fd, 0, 0, 2), TF_WASI_NOTCAPABLE);
    ERROR(read_fd(guest, fd, 100), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 8 && memcmp(guest->memory + 3000, "contents", 8) == 0);
    ERROR(tf_wasi_fd_filestat_get(H, fd, OUT), TF_WASI_OK);
    CHECK(size_at(guest) == 8 && guest->memory[OUT + 16] == TF_WASI_TYPE_REGULAR && fake_u32(guest, OUT + 48) == 5);
}

static void files_are_written_and_read(void)
{
    struct tf_guest *const guest = start();
    ERROR(open_at(guest, WRITABLE, "f", TF_WASI_CREAT | TF_WASI_EXCL, ALL_RIGHTS), TF_WASI_OK);
    uint32_t const fd = fake_u32(guest, OUT);
    CHECK(fd == 5);
    ERROR(write_fd(guest, fd, "hello"), TF_WASI_OK);
    ERROR(tf_wasi_fd_tell(H, fd, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 5);
    ERROR(tf_wasi_fd_seek(H, fd, (uint64_t)-3, 1, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 2);
    ERROR(read_fd(guest, fd, 100), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 3 && memcmp(guest->memory + 3000, "llo", 3) == 0);
    ERROR(tf_wasi_fd_seek(H, fd, (uint64_t)-6, 2, OUT), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_seek(H, fd, INT64_MAX, 1, OUT), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_seek(H, fd, 0, 3, OUT), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_seek(H, fd, 0, 0, END), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_seek(H, fd, 10, 0, OUT), TF_WASI_OK);
    ERROR(write_fd(guest, fd, "!"), TF_WASI_OK); /* a hole */
    fake_put(guest, 500, (uint32_t[]){3000, 11}, 8);
    ERROR(tf_wasi_fd_pread(H, fd, 500, 1, 0, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 11 && memcmp(guest->memory + 3000, "hello\0\0\0\0\0!", 11) == 0);
    ERROR(tf_wasi_fd_pread(H, fd, 500, 1, INT64_MAX, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 0);
    ERROR(tf_wasi_fd_pread(H, fd, 500, 1, UINT64_MAX, OUT), TF_WASI_INVAL);
    fake_put(guest, 500, (uint32_t[]){2000, 1}, 8);
    ERROR(tf_wasi_fd_pwrite(H, fd, 500, 1, 1ull << 50, OUT), TF_WASI_FBIG);
    ERROR(tf_wasi_fd_pwrite(H, fd, 500, 1, guest->limits.scratch_bytes, OUT), TF_WASI_NOSPC);
    ERROR(tf_wasi_fd_pwrite(H, fd, 500, 1, UINT64_MAX, OUT), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_filestat_set_size(H, fd, 3), TF_WASI_OK);
    ERROR(tf_wasi_fd_filestat_set_size(H, fd, 8), TF_WASI_OK);
    ERROR(tf_wasi_fd_pread(H, fd, 500, 0, 0, OUT), TF_WASI_OK);
    fake_put(guest, 500, (uint32_t[]){3000, 11}, 8);
    ERROR(tf_wasi_fd_pread(H, fd, 500, 1, 0, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 8 && memcmp(guest->memory + 3000, "hel\0\0\0\0\0", 8) == 0);
    ERROR(tf_wasi_fd_allocate(H, fd, 4, 16), TF_WASI_OK);
    ERROR(tf_wasi_fd_allocate(H, fd, 0, 0), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_allocate(H, fd, 0, 1ull << 45), TF_WASI_FBIG);
    ERROR(tf_wasi_fd_filestat_get(H, fd, OUT), TF_WASI_OK);
    CHECK(size_at(guest) == 20);
    ERROR(tf_wasi_fd_advise(H, fd, 0, 0, 5), TF_WASI_OK);
    ERROR(tf_wasi_fd_advise(H, fd, 0, 0, 6), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_fdstat_set_flags(H, fd, TF_WASI_APPEND), TF_WASI_OK);
    ERROR(tf_wasi_fd_seek(H, fd, 0, 0, OUT), TF_WASI_OK);
    ERROR(write_fd(guest, fd, "end"), TF_WASI_OK);
    ERROR(tf_wasi_fd_tell(H, fd, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 23);
    ERROR(at_path(guest, tf_wasi_path_unlink_file, WRITABLE, "f"), TF_WASI_OK);
    ERROR(write_fd(guest, fd, "still"), TF_WASI_OK); /* open, without a name */
    ERROR(tf_wasi_fd_close(H, fd), TF_WASI_OK);
    ERROR(stat_at(guest, WRITABLE, "f", 0), TF_WASI_NOENT);
}

static void memory_comes_back(void)
{
    struct tf_guest *const guest = start();
    ERROR(tf_wasi_sched_yield(H), TF_WASI_OK);
    ERROR(open_at(guest, WRITABLE, "f", TF_WASI_CREAT, ALL_RIGHTS), TF_WASI_OK);
    for (int i = 0; i < 200; i++) {
        ERROR(tf_wasi_fd_filestat_set_size(H, 5, 10u << 20), TF_WASI_OK);
        ERROR(tf_wasi_fd_close(H, 5), TF_WASI_OK);
        ERROR(at_path(guest, tf_wasi_path_unlink_file, WRITABLE, "f"), TF_WASI_OK);
        ERROR(open_at(guest, WRITABLE, "f", TF_WASI_CREAT, ALL_RIGHTS), TF_WASI_OK);
    }
    uint32_t error = TF_WASI_OK, count = 0;
    while (error == TF_WASI_OK && count < 1000) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", count++);
        error = open_at(guest, WRITABLE, name, TF_WASI_CREAT, 0);
    }
    ERROR(error, TF_WASI_MFILE);
    CHECK(count + 5 == guest->limits.descriptors);
}

static void names_are_made_and_removed(void)
{
    struct tf_guest *const guest = start();
    ERROR(at_path(guest, tf_wasi_path_create_directory, WRITABLE, "n/"), TF_WASI_OK);
    ERROR(at_path(guest, tf_wasi_path_create_directory, WRITABLE, "n"), TF_WASI_EXIST);
    ERROR(at_path(guest, tf_wasi_path_create_directory, WRITABLE, "n/m"), TF_WASI_OK);
    ERROR(at_path(guest, tf_wasi_path_create_directory, WRITABLE, "."), TF_WASI_EXIST);
    ERROR(at_path(guest, tf_wasi_path_create_directory, WRITABLE, ".."), TF_WASI_PERM);
    ERROR(at_path(guest, tf_wasi_path_remove_directory, WRITABLE, "n"), TF_WASI_NOTEMPTY);
    ERROR(at_path(guest, tf_wasi_path_remove_directory, WRITABLE, "."), TF_WASI_INVAL);
    ERROR(at_path(guest, tf_wasi_path_remove_directory, WRITABLE, "a"), TF_WASI_NOTDIR);
    ERROR(at_path(guest, tf_wasi_path_unlink_file, WRITABLE, "n"), TF_WASI_ISDIR);
    ERROR(at_path(guest, tf_wasi_path_unlink_file, WRITABLE, "a/"), TF_WASI_NOTDIR);
    put_path(guest, 1000, "a");
    put_path(guest, 1100, "n");
    put_path(guest, 1200, "n/m/k");
    ERROR(tf_wasi_path_link(H, WRITABLE, 0, 1000, 1, WRITABLE, 1200, 5), TF_WASI_OK);
    ERROR(tf_wasi_path_link(H, WRITABLE, 0, 1000, 1, WRITABLE, 1200, 5), TF_WASI_EXIST);
    ERROR(tf_wasi_path_link(H, WRITABLE, 0, 1100, 1, WRITABLE, 1200, 1), TF_WASI_EXIST);
    ERROR(tf_wasi_path_rename(H, WRITABLE, 1100, 1, WRITABLE, 1200, 5), TF_WASI_INVAL); /* into itself */
    ERROR(tf_wasi_path_rename(H, WRITABLE, 1100, 1, WRITABLE, 1000, 1), TF_WASI_NOTDIR);
    ERROR(tf_wasi_path_rename(H, WRITABLE, 1000, 1, WRITABLE, 1100, 1), TF_WASI_ISDIR);
    ERROR(tf_wasi_path_rename(H, WRITABLE, 1000, 1, WRITABLE, 1200, 5), TF_WASI_OK); /* the same file: nothing */
    ERROR(stat_at(guest, WRITABLE, "a", 0), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT + 24) == 2);
    put_path(guest, 1300, "z");
    ERROR(tf_wasi_path_rename(H, WRITABLE, 1100, 1, WRITABLE, 1300, 1), TF_WASI_OK);
    ERROR(stat_at(guest, WRITABLE, "z/m/k", 0), TF_WASI_OK);
    ERROR(stat_at(guest, WRITABLE, "n", 0), TF_WASI_NOENT);
}

static void links_are_read_and_followed(void)
{
    struct tf_guest *const guest = start();
    put_path(guest, 1000, "d/b");
    put_path(guest, 1100, "l");
    ERROR(tf_wasi_path_symlink(H, 1000, 3, WRITABLE, 1100, 1), TF_WASI_OK);
    ERROR(tf_wasi_path_symlink(H, 1000, 3, WRITABLE, 1100, 1), TF_WASI_EXIST);
    put_path(guest, 1200, "/etc");
    ERROR(tf_wasi_path_symlink(H, 1200, 4, WRITABLE, 1100, 1), TF_WASI_PERM);
    ERROR(tf_wasi_path_symlink(H, 1200, 0, WRITABLE, 1100, 1), TF_WASI_INVAL);
    ERROR(tf_wasi_path_readlink(H, WRITABLE, 1100, 1, 2000, 2, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 2 && memcmp(guest->memory + 2000, "d/", 2) == 0);
    ERROR(tf_wasi_path_readlink(H, WRITABLE, 1100, 1, 2000, 200, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 3);
    ERROR(tf_wasi_path_readlink(H, WRITABLE, 1100, 1, END, 200, OUT), TF_WASI_FAULT);
    ERROR(tf_wasi_path_readlink(H, WRITABLE, 1000, 3, 2000, 200, OUT), TF_WASI_INVAL);
    ERROR(stat_at(guest, WRITABLE, "l", 0), TF_WASI_OK);
    CHECK(guest->memory[OUT + 16] == TF_WASI_TYPE_SYMLINK);
    ERROR(stat_at(guest, WRITABLE, "l", TF_WASI_FOLLOW), TF_WASI_OK);
    CHECK(guest->memory[OUT + 16] == TF_WASI_TYPE_REGULAR && size_at(guest) == 1);
    put_path(guest, 1100, "l");
    ERROR(tf_wasi_path_open(H, WRITABLE, 0, 1100, 1, 0, 0, 0, 0, OUT), TF_WASI_LOOP);
    ERROR(tf_wasi_path_filestat_set_times(H, WRITABLE, TF_WASI_FOLLOW, 1100, 1, 0, 77, TF_WASI_MTIM), TF_WASI_OK);
    ERROR(tf_wasi_path_filestat_set_times(H, WRITABLE, 0, 1100, 1, 0, 0, 3), TF_WASI_INVAL);
    ERROR(stat_at(guest, WRITABLE, "d/b", 0), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT + 48) == 77);
}

static void names_are_listed(void)
{
    struct tf_guest *const guest = start();
    uint64_t cookie = 0;
    unsigned names = 0;
    for (;;) { /* room for one name at a time: each is seen once */
        ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3001, 27, cookie, OUT), TF_WASI_OK);
        uint32_t const used = fake_u32(guest, OUT);
        if (used < 25)
            break;
        memcpy(&cookie, guest->memory + 3001, sizeof(cookie));
        names++;
        if (used < 27 && fake_u32(guest, 3001 + 16) + 24 > used)
            break;
    }
    CHECK(names == 4); /* ".", "..", "a", "d" */
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3000, 1000, 0, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 4 * 24 + 1 + 2 + 1 + 1);
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3000, 1000, UINT64_MAX, OUT), TF_WASI_OK);
    CHECK(fake_u32(guest, OUT) == 0);
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3000, 0, 0, OUT), TF_WASI_OK);
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, END - 9, 10, 0, OUT), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3000, UINT32_MAX, 0, OUT), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_readdir(H, WRITABLE, 3000, 10, 0, END - 3), TF_WASI_FAULT);
}

static void rights_only_shrink(void)
{
    struct tf_guest *const guest = start();
    ERROR(tf_wasi_fd_fdstat_get(H, WRITABLE, OUT), TF_WASI_OK);
    CHECK(guest->memory[OUT] == TF_WASI_TYPE_DIRECTORY && fake_u32(guest, OUT + 8) == TF_WASI_RIGHTS_FOLDER);
    ERROR(tf_wasi_fd_fdstat_set_rights(H, WRITABLE, TF_WASI_PATH_OPEN, TF_WASI_FD_READ), TF_WASI_OK);
    ERROR(tf_wasi_fd_fdstat_set_rights(H, WRITABLE, TF_WASI_PATH_OPEN | TF_WASI_FD_READDIR, 0), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, WRITABLE, "new", TF_WASI_CREAT, 0), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, WRITABLE, "a", 0, TF_WASI_FD_READ | TF_WASI_FD_SEEK), TF_WASI_OK);
    uint32_t const fd = fake_u32(guest, OUT);
    ERROR(read_fd(guest, fd, 4), TF_WASI_OK);
    ERROR(tf_wasi_fd_seek(H, fd, 0, 0, OUT), TF_WASI_NOTCAPABLE);
    ERROR(open_at(guest, WRITABLE, "a", 16, 0), TF_WASI_INVAL);
    ERROR(open_at(guest, WRITABLE, "a", TF_WASI_DIRECTORY, 0), TF_WASI_NOTDIR);
    ERROR(open_at(guest, WRITABLE, ".", TF_WASI_DIRECTORY, TF_WASI_FD_READ), TF_WASI_OK);
}

/* ---- the site's files ---- */

static struct tf_guest *start_site(void)
{
    static struct tf_program_folder const folders[] = {{.name = "/site", .is_site = true}};
    static struct tf_program const program = {.is_command = true, .folders = folders, .folder_count = 1};
    struct tf_guest *const guest = fake_reset();
    guest->world = TF_WORLD_CGI;
    guest->request.program = &program;
    return guest;
}

/* What the next fetch is answered. */
static void answer_bytes(struct tf_guest *guest, const void *bytes, size_t length)
{
    guest->answers[guest->submitted] =
        (struct tf_service_answer){.status = TF_SERVICE_OK, .bytes = bytes, .length = length};
}

static size_t add_site_entry(uint8_t *listing, size_t at, const char *name, uint32_t is_folder, uint64_t bytes)
{
    struct tf_site_entry const entry = {
        .bytes = bytes, .is_folder = is_folder, .name_length = (uint32_t)strlen(name)};
    memcpy(listing + at, &entry, sizeof(entry));
    memcpy(listing + at + sizeof(entry), name, strlen(name));
    return at + sizeof(entry) + strlen(name);
}

static bool fetched(const struct tf_guest *guest, uint32_t call, enum tf_site_kind kind, const char *path)
{
    return guest->submitted > call && guest->calls[call].kind == kind &&
           guest->calls[call].length == strlen(path) &&
           memcmp(guest->calls[call].message, path, strlen(path)) == 0;
}

static void the_site_is_read_when_wanted(void)
{
    static uint8_t top[256], below[256];
    size_t const top_bytes = add_site_entry(top, add_site_entry(top, 0, "d", 1, 0), "f", 0, 3);
    size_t const below_bytes = add_site_entry(below, 0, "g", 0, 5);
    struct tf_guest *const guest = start_site();
    answer_bytes(guest, top, top_bytes);
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_OK);
    CHECK(fetched(guest, 0, TF_SITE_FOLDER, "") && guest->submitted == 1);
    answer_bytes(guest, "abc", 3);
    ERROR(open_at(guest, READ_ONLY, "f", 0, TF_WASI_FD_READ), TF_WASI_OK);
    CHECK(fetched(guest, 1, TF_SITE_FILE, "f"));
    uint32_t const fd = fake_u32(guest, OUT);
    ERROR(open_at(guest, READ_ONLY, "d/../f", 0, TF_WASI_FD_READ), TF_WASI_OK); /* open already: not read again */
    CHECK(guest->submitted == 2);
    ERROR(tf_wasi_fd_close(H, fake_u32(guest, OUT)), TF_WASI_OK);
    ERROR(tf_wasi_fd_close(H, fd), TF_WASI_OK);
    answer_bytes(guest, below, below_bytes);
    ERROR(stat_at(guest, READ_ONLY, "d/g", 0), TF_WASI_OK);
    CHECK(fetched(guest, 2, TF_SITE_FOLDER, "d"));
    answer_bytes(guest, "", 0);
    ERROR(open_at(guest, READ_ONLY, "d/g", 0, TF_WASI_FD_READ), TF_WASI_OK); /* shorter by now */
    CHECK(fetched(guest, 3, TF_SITE_FILE, "d/g") && guest->released == 4);
    ERROR(open_at(guest, READ_ONLY, "f", TF_WASI_CREAT, TF_WASI_FD_WRITE), TF_WASI_NOTCAPABLE);
    ERROR(at_path(guest, tf_wasi_path_unlink_file, READ_ONLY, "f"), TF_WASI_NOTCAPABLE);
    ERROR(stat_at(guest, READ_ONLY, "../f", 0), TF_WASI_PERM);
}

static void what_the_site_cannot_give(void)
{
    static uint8_t listing[1024];
    struct tf_guest *guest = start_site();
    guest->answers[0].status = TF_SERVICE_BAD;
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_NOENT);
    guest = start_site(); /* it comes to nothing */
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_IO);
    guest = start_site();
    guest->refuses_calls = true;
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_IO);
    guest = start_site();
    answer_bytes(guest, listing, 7);
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_IO);
    guest = start_site();
    size_t length = add_site_entry(listing, 0, "f", 0, 1);
    memset(listing + offsetof(struct tf_site_entry, name_length), 0xff, 4);
    answer_bytes(guest, listing, length);
    ERROR(stat_at(guest, READ_ONLY, "f", 0), TF_WASI_IO);
    /* Names that are none are passed over; of two, the first counts. */
    guest = start_site();
    length = add_site_entry(listing, 0, "..", 1, 0);
    length = add_site_entry(listing, length, "a/b", 0, 1);
    length = add_site_entry(listing, length, "", 0, 1);
    length = add_site_entry(listing, length, "f", 0, 1);
    length = add_site_entry(listing, length, "f", 1, 1);
    answer_bytes(guest, listing, length);
    ERROR(stat_at(guest, READ_ONLY, "a", 0), TF_WASI_NOENT);
    guest->answers[1].status = TF_SERVICE_BAD; /* gone since it was listed */
    ERROR(open_at(guest, READ_ONLY, "f", 0, TF_WASI_FD_READ), TF_WASI_NOENT);
    guest->limits.scratch_bytes = 4096;
    static uint8_t large[8192];
    answer_bytes(guest, large, sizeof(large));
    ERROR(open_at(guest, READ_ONLY, "f", 0, TF_WASI_FD_READ), TF_WASI_NOSPC);
    answer_bytes(guest, large, 10);
    ERROR(open_at(guest, READ_ONLY, "f", 0, TF_WASI_FD_READ), TF_WASI_OK);
}

TEST_MAIN(TEST(folders_are_given_by_name), TEST(no_path_leads_out), TEST(read_only_is_read_only),
          TEST(files_are_written_and_read), TEST(memory_comes_back), TEST(names_are_made_and_removed),
          TEST(links_are_read_and_followed), TEST(names_are_listed), TEST(rights_only_shrink),
          TEST(the_site_is_read_when_wanted), TEST(what_the_site_cannot_give))
