/*
 * Private to this folder: WASI preview 1, the calls that guests import from wasi_snapshot_preview1.
 *
 * Each call takes the header of the calling instance and then the wasm parameters, runs on the guest's stack, and
 * answers one of WASI's errno values: a wild pointer is FAULT, what is not offered is NOTSUP, NOTSOCK or NOTCAPABLE,
 * and nothing but a limit of the response traps. All pointers may be unaligned, and may overlap.
 *
 * Host code is not preempted, so no call does more than a bounded amount of work before it looks at the tick again.
 *
 * Files live in memory: a tree of nodes for each folder the program was given (wasi_tree.h), and what was fetched of
 * its site. No descriptor of the process is held for a guest.
 */
#ifndef TF_RUNTIME_WORLDS_WASI_H
#define TF_RUNTIME_WORLDS_WASI_H

#include "runtime/guest.h"
#include "runtime/worlds/calls.h"

/* ---- the calls: X(ID as in worlds.h, name, parameters, result) ---- */

/* clang-format off */
#define TF_WASI_CALLS(X) \
    X(WASI_ARGS_GET,                  args_get,                ii,        i)  \
    X(WASI_ARGS_SIZES_GET,            args_sizes_get,          ii,        i)  \
    X(WASI_ENVIRON_GET,               environ_get,             ii,        i)  \
    X(WASI_ENVIRON_SIZES_GET,         environ_sizes_get,       ii,        i)  \
    X(WASI_CLOCK_RES_GET,             clock_res_get,           ii,        i)  \
    X(WASI_CLOCK_TIME_GET,            clock_time_get,          iIi,       i)  \
    X(WASI_FD_ADVISE,                 fd_advise,               iIIi,      i)  \
    X(WASI_FD_ALLOCATE,               fd_allocate,             iII,       i)  \
    X(WASI_FD_CLOSE,                  fd_close,                i,         i)  \
    X(WASI_FD_DATASYNC,               fd_datasync,             i,         i)  \
    X(WASI_FD_FDSTAT_GET,             fd_fdstat_get,           ii,        i)  \
    X(WASI_FD_FDSTAT_SET_FLAGS,       fd_fdstat_set_flags,     ii,        i)  \
    X(WASI_FD_FDSTAT_SET_RIGHTS,      fd_fdstat_set_rights,    iII,       i)  \
    X(WASI_FD_FILESTAT_GET,           fd_filestat_get,         ii,        i)  \
    X(WASI_FD_FILESTAT_SET_SIZE,      fd_filestat_set_size,    iI,        i)  \
    X(WASI_FD_FILESTAT_SET_TIMES,     fd_filestat_set_times,   iIIi,      i)  \
    X(WASI_FD_PREAD,                  fd_pread,                iiiIi,     i)  \
    X(WASI_FD_PRESTAT_GET,            fd_prestat_get,          ii,        i)  \
    X(WASI_FD_PRESTAT_DIR_NAME,       fd_prestat_dir_name,     iii,       i)  \
    X(WASI_FD_PWRITE,                 fd_pwrite,               iiiIi,     i)  \
    X(WASI_FD_READ,                   fd_read,                 iiii,      i)  \
    X(WASI_FD_READDIR,                fd_readdir,              iiiIi,     i)  \
    X(WASI_FD_RENUMBER,               fd_renumber,             ii,        i)  \
    X(WASI_FD_SEEK,                   fd_seek,                 iIii,      i)  \
    X(WASI_FD_SYNC,                   fd_sync,                 i,         i)  \
    X(WASI_FD_TELL,                   fd_tell,                 ii,        i)  \
    X(WASI_FD_WRITE,                  fd_write,                iiii,      i)  \
    X(WASI_PATH_CREATE_DIRECTORY,     path_create_directory,   iii,       i)  \
    X(WASI_PATH_FILESTAT_GET,         path_filestat_get,       iiiii,     i)  \
    X(WASI_PATH_FILESTAT_SET_TIMES,   path_filestat_set_times, iiiiIIi,   i)  \
    X(WASI_PATH_LINK,                 path_link,               iiiiiii,   i)  \
    X(WASI_PATH_OPEN,                 path_open,               iiiiiIIii, i)  \
    X(WASI_PATH_READLINK,             path_readlink,           iiiiii,    i)  \
    X(WASI_PATH_REMOVE_DIRECTORY,     path_remove_directory,   iii,       i)  \
    X(WASI_PATH_RENAME,               path_rename,             iiiiii,    i)  \
    X(WASI_PATH_SYMLINK,              path_symlink,            iiiii,     i)  \
    X(WASI_PATH_UNLINK_FILE,          path_unlink_file,        iii,       i)  \
    X(WASI_POLL_ONEOFF,               poll_oneoff,             iiii,      i)  \
    X(WASI_PROC_EXIT,                 proc_exit,               i,         )   \
    X(WASI_PROC_RAISE,                proc_raise,              i,         i)  \
    X(WASI_SCHED_YIELD,               sched_yield,             ,          i)  \
    X(WASI_RANDOM_GET,                random_get,              ii,        i)  \
    X(WASI_SOCK_ACCEPT,               sock_accept,             iii,       i)  \
    X(WASI_SOCK_RECV,                 sock_recv,               iiiiii,    i)  \
    X(WASI_SOCK_SEND,                 sock_send,               iiiii,     i)  \
    X(WASI_SOCK_SHUTDOWN,             sock_shutdown,           ii,        i)
/* clang-format on */

#define X(id, name, parameters, result)                                                            \
    TF_CALL_RESULT_##result tf_wasi_##name(void *header TF_CALL_PARAMETERS_##parameters);
TF_WASI_CALLS(X)
#undef X

/* ---- the numbers of WASI preview 1 ---- */

enum tf_wasi_errno {
    TF_WASI_OK = 0,
    TF_WASI_BADF = 8,
    TF_WASI_EXIST = 20,
    TF_WASI_FAULT = 21,
    TF_WASI_FBIG = 22,
    TF_WASI_ILSEQ = 25,
    TF_WASI_INVAL = 28,
    TF_WASI_IO = 29,
    TF_WASI_ISDIR = 31,
    TF_WASI_LOOP = 32,
    TF_WASI_MFILE = 33,
    TF_WASI_NAMETOOLONG = 37,
    TF_WASI_NOENT = 44,
    TF_WASI_NOMEM = 48,
    TF_WASI_NOSPC = 51,
    TF_WASI_NOTDIR = 54,
    TF_WASI_NOTEMPTY = 55,
    TF_WASI_NOTSOCK = 57,
    TF_WASI_NOTSUP = 58,
    TF_WASI_PERM = 63,
    TF_WASI_SPIPE = 70,
    TF_WASI_NOTCAPABLE = 76,
};

enum tf_wasi_filetype {
    TF_WASI_TYPE_UNKNOWN = 0,
    TF_WASI_TYPE_DIRECTORY = 3,
    TF_WASI_TYPE_REGULAR = 4,
    TF_WASI_TYPE_SYMLINK = 7,
};

enum tf_wasi_rights {
    TF_WASI_FD_DATASYNC = 1 << 0,
    TF_WASI_FD_READ = 1 << 1,
    TF_WASI_FD_SEEK = 1 << 2,
    TF_WASI_FD_FDSTAT_SET_FLAGS = 1 << 3,
    TF_WASI_FD_SYNC = 1 << 4,
    TF_WASI_FD_TELL = 1 << 5,
    TF_WASI_FD_WRITE = 1 << 6,
    TF_WASI_FD_ADVISE = 1 << 7,
    TF_WASI_FD_ALLOCATE = 1 << 8,
    TF_WASI_PATH_CREATE_DIRECTORY = 1 << 9,
    TF_WASI_PATH_CREATE_FILE = 1 << 10,
    TF_WASI_PATH_LINK_SOURCE = 1 << 11,
    TF_WASI_PATH_LINK_TARGET = 1 << 12,
    TF_WASI_PATH_OPEN = 1 << 13,
    TF_WASI_FD_READDIR = 1 << 14,
    TF_WASI_PATH_READLINK = 1 << 15,
    TF_WASI_PATH_RENAME_SOURCE = 1 << 16,
    TF_WASI_PATH_RENAME_TARGET = 1 << 17,
    TF_WASI_PATH_FILESTAT_GET = 1 << 18,
    TF_WASI_PATH_FILESTAT_SET_SIZE = 1 << 19,
    TF_WASI_PATH_FILESTAT_SET_TIMES = 1 << 20,
    TF_WASI_FD_FILESTAT_GET = 1 << 21,
    TF_WASI_FD_FILESTAT_SET_SIZE = 1 << 22,
    TF_WASI_FD_FILESTAT_SET_TIMES = 1 << 23,
    TF_WASI_PATH_SYMLINK = 1 << 24,
    TF_WASI_PATH_REMOVE_DIRECTORY = 1 << 25,
    TF_WASI_PATH_UNLINK_FILE = 1 << 26,
    TF_WASI_POLL_FD_READWRITE = 1 << 27,

    TF_WASI_RIGHTS_FILE_READ = TF_WASI_FD_READ | TF_WASI_FD_SEEK | TF_WASI_FD_FDSTAT_SET_FLAGS | TF_WASI_FD_SYNC |
                               TF_WASI_FD_DATASYNC | TF_WASI_FD_TELL | TF_WASI_FD_ADVISE | TF_WASI_FD_FILESTAT_GET |
                               TF_WASI_POLL_FD_READWRITE,
    TF_WASI_RIGHTS_FILE_WRITE = TF_WASI_FD_WRITE | TF_WASI_FD_ALLOCATE | TF_WASI_FD_FILESTAT_SET_SIZE |
                                TF_WASI_FD_FILESTAT_SET_TIMES,
    TF_WASI_RIGHTS_FILE = TF_WASI_RIGHTS_FILE_READ | TF_WASI_RIGHTS_FILE_WRITE,
    TF_WASI_RIGHTS_FOLDER_READ = TF_WASI_PATH_OPEN | TF_WASI_FD_READDIR | TF_WASI_PATH_READLINK |
                                 TF_WASI_PATH_FILESTAT_GET | TF_WASI_FD_FILESTAT_GET | TF_WASI_FD_FDSTAT_SET_FLAGS |
                                 TF_WASI_FD_SYNC | TF_WASI_FD_DATASYNC,
    TF_WASI_RIGHTS_FOLDER_WRITE = TF_WASI_PATH_CREATE_DIRECTORY | TF_WASI_PATH_CREATE_FILE | TF_WASI_PATH_LINK_SOURCE |
                                  TF_WASI_PATH_LINK_TARGET | TF_WASI_PATH_RENAME_SOURCE | TF_WASI_PATH_RENAME_TARGET |
                                  TF_WASI_PATH_FILESTAT_SET_SIZE | TF_WASI_PATH_FILESTAT_SET_TIMES |
                                  TF_WASI_FD_FILESTAT_SET_TIMES | TF_WASI_PATH_SYMLINK |
                                  TF_WASI_PATH_REMOVE_DIRECTORY | TF_WASI_PATH_UNLINK_FILE,
    TF_WASI_RIGHTS_FOLDER = TF_WASI_RIGHTS_FOLDER_READ | TF_WASI_RIGHTS_FOLDER_WRITE,
};

enum { TF_WASI_FOLLOW = 1 };                                                             /* lookupflags */
enum { TF_WASI_CREAT = 1, TF_WASI_DIRECTORY = 2, TF_WASI_EXCL = 4, TF_WASI_TRUNC = 8 };  /* oflags */
enum { TF_WASI_APPEND = 1, TF_WASI_FDFLAGS = 31 };                                       /* fdflags */
enum { TF_WASI_ATIM = 1, TF_WASI_ATIM_NOW = 2, TF_WASI_MTIM = 4, TF_WASI_MTIM_NOW = 8 }; /* fstflags */

/* ---- a request's state ---- */

enum tf_wasi_open_kind {
    TF_WASI_CLOSED,
    TF_WASI_STDIN,
    TF_WASI_STDOUT,
    TF_WASI_STDERR,
    TF_WASI_NODE,
};

struct tf_wasi_node;

/* A descriptor of the guest. */
struct tf_wasi_open {
    uint8_t kind; /* enum tf_wasi_open_kind */
    uint16_t flags;
    uint32_t rights, inheriting;
    uint64_t offset;
    struct tf_wasi_node *node; /* NODE; counted in its `opens` */
    const char *preopen;       /* the name it was given by; NULL: opened by the guest */
};

/* Strings with their NULs, one behind the other. */
struct tf_wasi_strings {
    char *bytes;
    uint32_t length, count;
};

struct tf_wasi_block;

#define TF_WASI_LINE_BYTES 512u

struct tf_wasi {
    struct tf_guest *guest;
    struct tf_wasi_open *opens;
    uint32_t open_count, open_capacity; /* entries of `opens`, closed ones too */
    bool has_arguments, has_environment;
    struct tf_wasi_strings arguments, environment;
    uint64_t input_offset; /* what of the body was read */
    char *output;          /* standard output so far, in the arena */
    size_t output_length, output_capacity;
    uint32_t exit_code;
    uint32_t line_length;
    char line[TF_WASI_LINE_BYTES]; /* standard error up to the end of its line */
    struct tf_wasi_block *blocks;  /* what wasi_heap.c handed out */
    uint64_t heap_bytes;
    uint64_t next_inode;
};

/* The state of the calling guest; made with its first call. Traps without memory. */
struct tf_wasi *tf_wasi_of(void *header);
/* The open descriptor, if it has all of `rights`: OK, BADF, NOTCAPABLE. */
uint32_t tf_wasi_descriptor(struct tf_wasi *wasi, uint32_t fd, uint32_t rights, struct tf_wasi_open **ret_open);
/* The lowest free one, closed until the caller fills it in; moves all others. OK, MFILE, NOMEM. */
uint32_t tf_wasi_new_descriptor(struct tf_wasi *wasi, uint32_t *ret_fd);
void tf_wasi_close(struct tf_wasi *wasi, struct tf_wasi_open *open);

/* ---- guest memory: false, or NULL, where it does not reach ---- */

bool tf_wasi_put(struct tf_wasi *wasi, uint32_t address, const void *bytes, uint32_t length);
bool tf_wasi_put_u32(struct tf_wasi *wasi, uint32_t address, uint32_t value);
bool tf_wasi_put_u64(struct tf_wasi *wasi, uint32_t address, uint64_t value);
const uint8_t *tf_wasi_look(struct tf_wasi *wasi, uint32_t address, uint32_t length);

/* A list of buffers, as scatter and gather calls take it. */
#define TF_WASI_VECTORS_MAX 1024u

struct tf_wasi_vectors {
    const uint8_t *bytes; /* 8 for each, in guest memory */
    uint32_t count;
    uint64_t total;
};

/* All of them lie in memory: OK, FAULT, INVAL (too many, or too long together). */
uint32_t tf_wasi_vectors(struct tf_wasi *wasi, uint32_t address, uint32_t count, struct tf_wasi_vectors *ret_vectors);
/* The i-th's place and length. */
uint32_t tf_wasi_vector(const struct tf_wasi_vectors *vectors, uint32_t index, uint32_t *ret_length);

/* ---- memory of one request beside the arena: what a program can give back (wasi_heap.c) ---- */

/* At most limits.scratch_bytes in all. NULL: not that much left. */
void *tf_wasi_take(struct tf_wasi *wasi, size_t bytes);
void tf_wasi_give(struct tf_wasi *wasi, void *taken);
void tf_wasi_give_all(struct tf_wasi *wasi);

/* ---- standard output and error (wasi_stdio.c) ---- */

/* Each traps OUTPUT_LIMIT over the limits of a response, or without memory. */
void tf_wasi_output(struct tf_wasi *wasi, const uint8_t *bytes, uint32_t length);
void tf_wasi_error_output(struct tf_wasi *wasi, const uint8_t *bytes, uint32_t length);
void tf_wasi_flush_error(struct tf_wasi *wasi);

/* ---- CGI (cgi_request.c, cgi_response.c) ---- */

/* "NAME=value" for each variable; in the arena. False without memory. */
bool tf_cgi_environment(struct tf_guest *guest, struct tf_wasi_strings *ret_strings);
bool tf_cgi_arguments(struct tf_guest *guest, struct tf_wasi_strings *ret_strings);
/* What the program wrote becomes the response. Traps BAD_OUTPUT, OUTPUT_LIMIT. */
void tf_cgi_respond(struct tf_guest *guest, struct tf_text output);

#endif
