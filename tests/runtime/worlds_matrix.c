/*
 * Every host function in every hard situation, with what is to come of it. The table is the inventory: a row of
 * worlds.h that has none here fails, and a situation is left out only where the row's kinds of parameters say that it
 * cannot be had. Sequences and whole programs are elsewhere (worlds_*.c, tests/guests, fuzz_calls.c).
 *
 *     good        arguments as meant, in a guest that has a request, folders, a response, requests under way
 *     empty       all lengths and counts 0
 *     at the end  all that is pointed at ends where memory does
 *     handle      no such handle, descriptor or clock
 *     wild        each address in turn outside of memory, or partly
 *     overlap     all addresses the same
 *     unaligned   all addresses odd
 *     no memory   an allocator that gives none
 *     re-entry    an allocator that calls host functions itself
 *
 * The program prints its table as it finds it with the argument `print`.
 */
#include <string.h>

#include "tests/check.h"
#include "worlds_fake.h"
#include <terrafirma/kv.h>
#include <terrafirma/outbound.h>
#include <terrafirma/worlds.h>

#define END FAKE_MEMORY_BYTES
#define PARAMETERS_MAX 9
#define NO_HANDLE 77u

enum situation { GOOD, EMPTY, AT_END, HANDLE, WILD, OVERLAP, UNALIGNED, NO_MEMORY, REENTRY, SITUATIONS };

/* What comes of a call beside its result; the result of a call that has none but two out words is the second one. */
enum {
    TRAP = 1 << 20, /* "host call": as for wild addresses */
    NO_ALLOC,      /* the trap of an allocator that gives nothing */
    EXIT,
    ANY,           /* a result that is another each time */
    NA,            /* cannot be had */
    VARIOUS,       /* each address another: only printed */
};

/* A letter a parameter:
 *     h handle   s number   l bytes and n entries of the address before
 *     p bytes to be read   v slices or vectors   q handles   S subscriptions
 *     o u32 out   O u64   f fdstat   t filestat   b bytes out   E events   x arguments or variables */
struct row {
    const char *kinds;
    bool gives_memory; /* of the guest's, by its allocator */
    uint64_t good[PARAMETERS_MAX];
    int expected[SITUATIONS];
};

#define A(...) {__VA_ARGS__}
#define R(id, kinds, memory, good, ...) [TF_ROW_##id] = {kinds, memory, good, {__VA_ARGS__}},

/* clang-format off */
/* Expected: good, empty, at the end, handle, wild, overlap, unaligned, no memory, re-entry. Of WASI's errno values: 8
 * BADF, 21 FAULT, 28 INVAL, 37 NAMETOOLONG, 44 NOENT, 57 NOTSOCK, 58 NOTSUP. */
static const struct row rows[TF_ROW_COUNT] = {
    R(INIT_MM, "ss", 0, A(1, 2), 0, NA, NA, NA, NA, NA, NA, NA, NA)
    R(PANIC_HOOK, "pl", 0, A(0x200, 3), 0, 0, 0, NA, TRAP, NA, 0, NA, NA)
    R(DEBUG, "pl", 0, A(0x200, 3), 0, 0, 0, NA, TRAP, NA, 0, NA, NA)
    R(REQ_GET_METHOD, "ooh", 1, A(0x100, 0x104, 0), 3, NA, 3, 0, TRAP, 3, 3, NO_ALLOC, 3)
    R(REQ_GET_PATH, "ooh", 1, A(0x100, 0x104, 0), 11, NA, 11, 0, TRAP, 11, 11, NO_ALLOC, 11)
    R(REQ_GET_BODY, "ooh", 1, A(0x100, 0x104, 0), 4, NA, 4, 0, TRAP, 4, 4, NO_ALLOC, 4)
    R(REQ_GET_HEADERS, "ooh", 1, A(0x100, 0x104, 0), 4, NA, 4, 0, TRAP, 4, 4, NO_ALLOC, 4)
    R(REQ_GET_HEADER, "oohpl", 1, A(0x100, 0x104, 0, 0x200, 3), 1, 0, 1, 0, TRAP, 0, 1, NO_ALLOC, 1)
    R(RESP_SET_RESPONSE_CODE, "hs", 0, A(0, 404), 0, NA, NA, 1, NA, NA, NA, NA, NA)
    R(RESP_SET_HEADER, "hplvn", 0, A(0, 0x200, 3, 0x290, 1), 0, 1, 0, 1, TRAP, TRAP, 0, NA, NA)
    R(RESP_SET_BODY, "hpl", 0, A(0, 0x250, 5), 0, 0, 0, 1, TRAP, NA, 0, NA, NA)
    R(REQ_CREATE, "plpl", 0, A(0x210, 3, 0x220, 17), 4, -1, 4, NA, TRAP, -1, 4, NA, NA)
    R(REQ_SET_HEADER, "hplvn", 0, A(1, 0x200, 3, 0x290, 1), 0, 1, 0, 1, TRAP, TRAP, 0, NA, NA)
    R(REQ_SET_BODY, "hpl", 0, A(1, 0x250, 5), 0, 0, 0, 1, TRAP, NA, 0, NA, NA)
    R(REQ_SEND, "h", 0, A(1), 2, NA, NA, -1, NA, NA, NA, NA, NA)
    R(RESP_GET_RESPONSE_CODE, "h", 0, A(1), 404, NA, NA, 0, NA, NA, NA, NA, NA)
    R(RESP_GET_HEADERS, "ooh", 1, A(0x100, 0x104, 1), 1, NA, 1, 0, TRAP, 1, 1, NO_ALLOC, 1)
    R(RESP_GET_HEADER, "oohpl", 1, A(0x100, 0x104, 1, 0x240, 1), 1, 0, 1, 0, TRAP, 0, 1, NO_ALLOC, 1)
    R(RESP_GET_BODY, "ooh", 1, A(0x100, 0x104, 1), 4, NA, 4, 0, TRAP, 4, 4, NO_ALLOC, 4)
    R(REQ_SEND_ASYNC, "h", 0, A(1), 2, NA, NA, -1, NA, NA, NA, NA, NA)
    R(PENDING_REQ_WAIT, "h", 0, A(1), 2, NA, NA, -1, NA, NA, NA, NA, NA)
    R(PENDING_REQ_POLL, "h", 0, A(1), 2, NA, NA, -1, NA, NA, NA, NA, NA)
    R(PENDING_REQ_SELECT, "qno", 0, A(0x2a0, 1, 0x100), 2, -1, 2, NA, TRAP, 2, 2, NA, NA)
    R(KVSTORE_GET, "oopl", 1, A(0x100, 0x104, 0x240, 1), 1, 1, 1, NA, TRAP, 1, 1, NO_ALLOC, 1)
    R(KVSTORE_INSERT, "plpl", 0, A(0x240, 1, 0x250, 5), 0, 0, 0, NA, TRAP, 0, 0, NA, NA)
    R(KVSTORE_UPSERT, "plpl", 0, A(0x240, 1, 0x250, 5), 0, 0, 0, NA, TRAP, 0, 0, NA, NA)
    R(KVSTORE_APPEND, "plpl", 0, A(0x240, 1, 0x250, 5), 0, 0, 0, NA, TRAP, 0, 0, NA, NA)
    R(KVSTORE_REMOVE, "pl", 0, A(0x240, 1), 1, 1, 1, NA, TRAP, NA, 1, NA, NA)
    R(RNG_NEXT_U64, "", 0, A(0), ANY, NA, NA, NA, NA, NA, NA, NA, NA)
    R(TIME_NOW, "o", 0, A(0x100), ANY, NA, ANY, NA, TRAP, NA, ANY, NA, NA)
    R(DNS_QUERY_RAW, "oopl", 1, A(0x100, 0x104, 0x300, 19), 1, 1, 1, NA, TRAP, 1, 1, NO_ALLOC, 1)
    R(DNS_QUERY_IP, "oopls", 1, A(0x100, 0x104, 0x320, 4, 0), 1, 1, 1, NA, TRAP, 1, 1, NO_ALLOC, 1)
    R(WASI_ARGS_GET, "xx", 0, A(0x1000, 0x2000), 0, NA, 0, NA, 21, 0, 0, NA, NA)
    R(WASI_ARGS_SIZES_GET, "oo", 0, A(0x100, 0x104), 0, NA, 0, NA, 21, 0, 0, NA, NA)
    R(WASI_ENVIRON_GET, "xx", 0, A(0x1000, 0x2000), 0, NA, 0, NA, 21, 0, 0, NA, NA)
    R(WASI_ENVIRON_SIZES_GET, "oo", 0, A(0x100, 0x104), 0, NA, 0, NA, 21, 0, 0, NA, NA)
    R(WASI_CLOCK_RES_GET, "hO", 0, A(0, 0x100), 0, NA, 0, 28, 21, NA, 0, NA, NA)
    R(WASI_CLOCK_TIME_GET, "hsO", 0, A(1, 0, 0x100), 0, NA, 0, 28, 21, NA, 0, NA, NA)
    R(WASI_FD_ADVISE, "hsss", 0, A(5, 0, 0, 0), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_ALLOCATE, "hss", 0, A(5, 0, 100), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_CLOSE, "h", 0, A(5), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_DATASYNC, "h", 0, A(5), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_FDSTAT_GET, "hf", 0, A(5, 0x100), 0, NA, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_FDSTAT_SET_FLAGS, "hs", 0, A(5, 1), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_FDSTAT_SET_RIGHTS, "hss", 0, A(5, 2, 0), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_FILESTAT_GET, "ht", 0, A(5, 0x100), 0, NA, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_FILESTAT_SET_SIZE, "hs", 0, A(5, 3), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_FILESTAT_SET_TIMES, "hsss", 0, A(5, 1, 1, 5), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_PREAD, "hvnso", 0, A(5, 0x280, 1, 0, 0x100), 0, 0, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_FD_PRESTAT_GET, "hO", 0, A(3, 0x100), 0, NA, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_PRESTAT_DIR_NAME, "hbl", 0, A(3, 0x100, 1), 0, 37, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_PWRITE, "hvnso", 0, A(5, 0x290, 1, 0, 0x100), 0, 0, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_FD_READ, "hvno", 0, A(5, 0x280, 1, 0x100), 0, 0, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_FD_READDIR, "hblso", 0, A(3, 0x600, 256, 0, 0x100), 0, 0, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_FD_RENUMBER, "hh", 0, A(5, 4), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_SEEK, "hssO", 0, A(5, 1, 0, 0x100), 0, NA, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_SYNC, "h", 0, A(5), 0, NA, NA, 8, NA, NA, NA, NA, NA)
    R(WASI_FD_TELL, "hO", 0, A(5, 0x100), 0, NA, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_FD_WRITE, "hvno", 0, A(5, 0x290, 1, 0x100), 0, 0, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_PATH_CREATE_DIRECTORY, "hpl", 0, A(4, 0x270, 3), 0, 44, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_PATH_FILESTAT_GET, "hsplt", 0, A(4, 0, 0x260, 1, 0x100), 0, 44, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_PATH_FILESTAT_SET_TIMES, "hsplsss", 0, A(4, 0, 0x260, 1, 1, 1, 5), 0, 44, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_PATH_LINK, "hsplhpl", 0, A(4, 0, 0x260, 1, 4, 0x270, 3), 0, 44, 0, 8, 21, 28, 0, NA, NA)
    R(WASI_PATH_OPEN, "hsplsssso", 0, A(4, 0, 0x260, 1, 0, 2, 0, 0, 0x100), 0, 44, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_PATH_READLINK, "hplblo", 0, A(4, 0x278, 1, 0x600, 16, 0x100), 0, 44, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_PATH_REMOVE_DIRECTORY, "hpl", 0, A(4, 0x268, 1), 0, 44, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_PATH_RENAME, "hplhpl", 0, A(4, 0x260, 1, 4, 0x270, 3), 0, 44, 0, 8, 21, 28, 0, NA, NA)
    R(WASI_PATH_SYMLINK, "plhpl", 0, A(0x250, 5, 4, 0x270, 3), 0, 44, 0, 8, 21, 0, 0, NA, NA)
    R(WASI_PATH_UNLINK_FILE, "hpl", 0, A(4, 0x260, 1), 0, 44, 0, 8, 21, NA, 0, NA, NA)
    R(WASI_POLL_ONEOFF, "SEno", 0, A(0x400, 0x600, 1, 0x100), 0, 28, 0, NA, 21, 0, 0, NA, NA)
    R(WASI_PROC_EXIT, "s", 0, A(3), EXIT, NA, NA, NA, NA, NA, NA, NA, NA)
    R(WASI_PROC_RAISE, "s", 0, A(6), 58, NA, NA, NA, NA, NA, NA, NA, NA)
    R(WASI_SCHED_YIELD, "", 0, A(0), 0, NA, NA, NA, NA, NA, NA, NA, NA)
    R(WASI_RANDOM_GET, "bl", 0, A(0x600, 16), 0, 0, 0, NA, 21, NA, 0, NA, NA)
    R(WASI_SOCK_ACCEPT, "hso", 0, A(5, 0, 0x100), 57, NA, 57, 8, 57, NA, 57, NA, NA)
    R(WASI_SOCK_RECV, "hvnsoo", 0, A(5, 0x280, 1, 0, 0x100, 0x104), 57, 57, 57, 8, 57, 57, 57, NA, NA)
    R(WASI_SOCK_SEND, "hvnso", 0, A(5, 0x290, 1, 0, 0x100), 57, 57, 57, 8, 57, 57, 57, NA, NA)
    R(WASI_SOCK_SHUTDOWN, "hs", 0, A(5, 1), 57, NA, NA, 8, NA, NA, NA, NA, NA)
};
/* clang-format on */

static const struct {
    const char *name, *parameters, *results;
} declared[TF_ROW_COUNT] = {
#define X(id, module, name, params, results, flags) {name, params, results},
    TF_HOST_ROWS(X)
#undef X
};

/* ---- the guest ---- */

static uint8_t const query[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};

static void fill_memory(struct tf_guest *guest)
{
    static const struct {
        uint32_t at;
        const char *text;
    } texts[] = {{0x200, "x-a"}, {0x210, "GET"}, {0x220, "http://a.example/"}, {0x240, "a"}, {0x250, "value"},
                 {0x260, "a"}, {0x268, "e"}, {0x270, "new"}, {0x278, "l"}, {0x320, "a.bc"}};
    struct {
        uint64_t tag;
        uint8_t type, pad[7];
        uint32_t clock, pad_clock;
        uint64_t timeout, precision;
        uint16_t flags, pad_flags[3];
    } const subscription = {.clock = 1};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        fake_put(guest, texts[i].at, texts[i].text, strlen(texts[i].text));
    memset(guest->memory + 0x100, 0xee, 0x100); /* out words that nobody writes show */
    fake_put(guest, 0x280, (uint32_t[2]){0x700, 16}, 8);
    fake_put(guest, 0x290, (uint32_t[2]){0x250, 5}, 8);
    fake_put(guest, 0x2a0, (uint32_t[1]){1}, 4);
    fake_put(guest, 0x300, query, sizeof(query));
    fake_put(guest, 0x400, &subscription, sizeof(subscription));
}

static void answer_all(struct tf_guest *guest, bool is_kv)
{
    static uint8_t bytes[2][128];
    static struct tf_kv_answer const kv = {.result = TF_KV_PRESENT};
    static struct tf_outbound_answer const fetched = {.status = 404, .header_count = 1, .header_bytes = 11};
    memcpy(bytes[0], &fetched, sizeof(fetched));
    memcpy(bytes[0] + sizeof(fetched), "\1\0\0\0\2\0\0\0avvbody", 15);
    memcpy(bytes[1], &kv, sizeof(kv));
    memcpy(bytes[1] + sizeof(kv), "value", 5);
    for (uint32_t i = 0; i < FAKE_CALLS; i++)
        guest->answers[i] = (struct tf_service_answer){.status = TF_SERVICE_OK,
                                                       .bytes = bytes[is_kv],
                                                       .length = is_kv ? sizeof(kv) + 5 : sizeof(fetched) + 15};
}

/* Request 1 is made, 2 is sent and has response 1, 3 is under way as 1. */
static void start_requests(struct tf_guest *guest)
{
    void *const header = &guest->header;
    for (uint32_t i = 0; i < 3; i++)
        (void)tf_terrarium_req_create(header, 0x210, 3, 0x220, 17);
    (void)tf_terrarium_req_send(header, 2);
    (void)tf_terrarium_req_send_async(header, 3);
}

static struct tf_guest *start(size_t row)
{
    static const struct tf_header headers[] = {{{"x-a", 3}, {"1", 1}}};
    static const struct tf_program_file files[] = {
        {.kind = TF_PROGRAM_FILE, .path = {"a", 1}, .bytes = {"contents", 8}},
        {.kind = TF_PROGRAM_FOLDER, .path = {"e", 1}},
        {.kind = TF_PROGRAM_LINK, .path = {"l", 1}, .bytes = {"a", 1}},
    };
    static const struct tf_program_folder folders[] = {
        {.name = "/", .files = files, .file_count = 3},
        {.name = "/tmp", .is_writable = true, .files = files, .file_count = 3},
    };
    static const struct tf_text texts[] = {{"A=1", 3}, {"B=2", 3}};
    static const struct tf_program program = {.is_command = true,
                                              .arguments = texts,
                                              .argument_count = 2,
                                              .environment = texts,
                                              .environment_count = 2,
                                              .folders = folders,
                                              .folder_count = 2};
    struct tf_guest *const guest = fake_reset();
    guest->request.headers = headers;
    guest->request.header_count = 1;
    guest->request.body = fake_text("body");
    guest->request.path = fake_text("/hello.wasm");
    guest->request.script_bytes = 11;
    guest->limits.scratch_bytes = 1u << 20;
    fill_memory(guest);
    if (row < TF_TERRARIUM_ROW_COUNT) {
        answer_all(guest, false);
        start_requests(guest);
        answer_all(guest, row >= TF_ROW_KVSTORE_GET && row <= TF_ROW_KVSTORE_REMOVE);
    } else {
        guest->world = TF_WORLD_CGI;
        guest->request.program = &program;
        (void)tf_wasi_path_open(&guest->header, 4, 0, 0x260, 1, 0, UINT32_MAX >> 4, 0, 0, 0x100);
    }
    return guest;
}

/* ---- the situations ---- */

static bool is_address(char kind)
{
    return strchr("pvqSoOftbEx", kind) != NULL;
}

/* What lies at an address, as the good arguments have it. */
static uint32_t bytes_at(const struct row *row, size_t index)
{
    uint32_t const count = index + 1 < PARAMETERS_MAX ? (uint32_t)row->good[index + 1] : 0;
    switch (row->kinds[index]) {
    case 'p':
    case 'b':
        return count;
    case 'v':
        return 8 * count;
    case 'q':
    case 'o':
        return 4;
    case 'S':
        return 48;
    case 'O':
        return 8;
    case 'f':
        return 24;
    case 't':
        return 64;
    case 'E':
        return 32;
    default:
        return 1024;
    }
}

static bool has(const struct row *row, const char *kinds)
{
    return strpbrk(row->kinds, kinds) != NULL;
}

static bool can_be_had(const struct row *row, enum situation situation)
{
    unsigned addresses = 0;
    for (const char *kind = row->kinds; *kind != '\0'; kind++)
        addresses += is_address(*kind);
    switch (situation) {
    case GOOD:
        return true;
    case EMPTY:
        return has(row, "ln");
    case HANDLE:
        return has(row, "h");
    case OVERLAP:
        return addresses > 1;
    case NO_MEMORY:
    case REENTRY:
        return row->gives_memory;
    default:
        return addresses > 0;
    }
}

static uint32_t no_memory(struct tf_guest *guest, uint32_t bytes)
{
    (void)guest;
    (void)bytes;
    return 0;
}

/* An allocator that is called while a host function runs, and calls others, one of which allocates again. */
static void call_back(struct tf_guest *guest)
{
    static bool is_inside;
    if (is_inside)
        return;
    is_inside = true;
    tf_terrarium_debug(&guest->header, 0x200, 3);
    tf_terrarium_req_get_method(&guest->header, 0xf00, 0xf04, 0);
    tf_terrarium_resp_set_body(&guest->header, 0, 0x250, 5);
    (void)tf_terrarium_req_create(&guest->header, 0x210, 3, 0x220, 17);
    is_inside = false;
}

static void move(struct tf_guest *guest, uint64_t *value, uint32_t to, uint32_t bytes)
{
    static uint8_t copy[2048];
    memcpy(copy, guest->memory + *value, bytes);
    fake_put(guest, to, copy, bytes);
    *value = to;
}

/* Makes the arguments what the situation says; `which` counts wild addresses. */
static void arrange(struct tf_guest *guest, const struct row *row, enum situation situation, unsigned which,
                    uint64_t *v)
{
    unsigned seen = 0;
    uint32_t first = 0, shift = 0;
    memcpy(v, row->good, sizeof(row->good));
    for (size_t i = 0; row->kinds[i] != '\0'; i++) {
        char const kind = row->kinds[i];
        if (situation == EMPTY && (kind == 'l' || kind == 'n'))
            v[i] = 0;
        if (situation == HANDLE && kind == 'h')
            v[i] = NO_HANDLE;
        if (!is_address(kind))
            continue;
        uint32_t const bytes = bytes_at(row, i);
        if (situation == AT_END) /* in memory's last bytes, one behind the other */
            move(guest, &v[i], END - (shift += bytes), bytes);
        if (situation == UNALIGNED)
            move(guest, &v[i], 0x8001 + 4096 * seen, bytes);
        if (situation == WILD && seen == which / 2)
            v[i] = which % 2 == 0 ? UINT32_MAX - 1 : bytes > 1 ? END - 1 : END;
        first = seen++ == 0 ? (uint32_t)v[i] : first;
        if (situation == OVERLAP)
            v[i] = first;
    }
    guest->allocate = situation == NO_MEMORY ? no_memory : guest->allocate;
    guest->on_allocate = situation == REENTRY ? call_back : NULL;
}

/* ---- calling ---- */

/* On x86-64 integers of either width take a register or a stack slot of their own, so one type fits all rows. */
typedef uint64_t (*any_row)(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                            uint64_t);

static int call(size_t index, enum situation situation, unsigned which)
{
    static uint64_t v[PARAMETERS_MAX];
    struct tf_guest *const guest = start(index);
    volatile uint64_t result = 0;
    any_row const function = (any_row)(uintptr_t)tf_host_table.rows[index];
    arrange(guest, &rows[index], situation, which, v);
    enum tf_trap const trap = TRAP_OF(guest, result = function(&guest->header, v[0], v[1], v[2], v[3], v[4], v[5],
                                                               v[6], v[7], v[8]));
    int outcome = (int)(uint32_t)result;
    if (trap != TF_TRAP_NONE)
        outcome = trap == TF_TRAP_ALLOCATOR ? NO_ALLOC : trap == TF_TRAP_HOST_CALL ? TRAP : VARIOUS;
    else if (guest->has_exited)
        outcome = EXIT;
    else if (declared[index].results[0] == '\0')
        outcome = strncmp(rows[index].kinds, "oo", 2) == 0 ? (int)fake_u32(guest, (uint32_t)v[1]) : 0;
    else if (declared[index].results[0] == 'I')
        outcome = ANY;
    if (guest->wasi != NULL)
        tf_wasi_over(guest);
    return outcome;
}

static int outcome_of(size_t index, enum situation situation)
{
    const struct row *const row = &rows[index];
    unsigned addresses = 0;
    if (!can_be_had(row, situation))
        return NA;
    if (situation != WILD)
        return call(index, situation, 0);
    for (const char *kind = row->kinds; *kind != '\0'; kind++)
        addresses += is_address(*kind);
    int const first = call(index, WILD, 0);
    for (unsigned which = 1; which < 2 * addresses; which++) {
        int const next = call(index, WILD, which);
        if (next != first)
            return VARIOUS;
    }
    return first;
}

/* ---- tests ---- */

static const char *const situations[] = {"good",    "empty",     "at the end", "handle",  "wild",
                                         "overlap", "unaligned", "no memory",  "re-entry"};

static void every_call_has_a_row_that_fits_its_type(void)
{
    for (size_t i = 0; i < TF_ROW_COUNT; i++) {
        const char *const kinds = rows[i].kinds, *const parameters = declared[i].parameters;
        CHECK_MESSAGE(kinds != NULL && strlen(kinds) == strlen(parameters), "%s has no row", declared[i].name);
        for (size_t at = 0; kinds != NULL && kinds[at] != '\0'; at++)
            CHECK_MESSAGE(parameters[at] == 'i' || !(is_address(kinds[at]) || kinds[at] == 'h'), "%s, parameter %zu",
                          declared[i].name, at);
    }
}

static void every_call_does_what_the_table_says(void)
{
    for (size_t i = 0; i < TF_ROW_COUNT; i++) {
        for (int situation = 0; situation < SITUATIONS; situation++) {
            int const found = outcome_of(i, (enum situation)situation);
            CHECK_MESSAGE(found == rows[i].expected[situation], "%s, %s: %d, expected %d", declared[i].name,
                          situations[situation], found, rows[i].expected[situation]);
        }
    }
}

static const char *word_of(int outcome)
{
    static char number[16];
    static const char *const words[] = {"TRAP", "NO_ALLOC", "EXIT", "ANY", "NA", "VARIOUS"};
    snprintf(number, sizeof(number), "%d", outcome);
    return outcome >= TRAP && outcome <= VARIOUS ? words[outcome - TRAP] : number;
}

static int print_table(void)
{
    for (size_t i = 0; i < TF_ROW_COUNT; i++) {
        printf("%s", declared[i].name);
        for (int situation = 0; situation < SITUATIONS; situation++)
            printf("%s%s", situation == 0 ? " " : ", ", word_of(outcome_of(i, (enum situation)situation)));
        printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct tf_check_test tests[] = {TEST(every_call_has_a_row_that_fits_its_type),
                                                 TEST(every_call_does_what_the_table_says)};
    if (argc > 1 && strcmp(argv[1], "print") == 0)
        return print_table();
    return tf_check_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
