/* Announces an allocator of the query's choosing, after a good one, and has the host use it. */
#include "query.h"

static uint32_t next;
static int depth;

static void *bump(size_t bytes)
{
    next = (next + 15) & ~15u;
    void *const block = at(next);
    next += bytes;
    while (next > MEMORY_BYTES) {
        if (__builtin_wasm_memory_grow(0, 1) == SIZE_MAX)
            return NULL;
    }
    return block;
}

static void *null(size_t bytes)
{
    (void)bytes;
    return NULL;
}

static void *trap(size_t bytes)
{
    (void)bytes;
    __builtin_trap();
}

static void *spin(size_t bytes)
{
    (void)bytes;
    for (;;)
        __asm__ volatile("");
}

/* Calls the host back, which calls it again. */
static void *nested(size_t bytes)
{
    if (depth < 4) {
        depth++;
        char *path;
        size_t length;
        struct string_slice *names;
        hostcall_req_get_path(&path, &length, 0);
        hostcall_req_get_headers(&names, &length, 0);
        tf_set_header("x-nested", "yes");
        depth--;
    }
    return bump(bytes);
}

static void *endless(size_t bytes)
{
    char *path;
    size_t length;
    hostcall_req_get_path(&path, &length, 0);
    return bump(bytes);
}

static void *growing(size_t bytes)
{
    next = MEMORY_BYTES + 100;
    return bump(bytes);
}

/* Spoils all that lies below the heap but the stack: the host must not look at a name again after it asked. */
static void *spoiling(size_t bytes)
{
    memset(at(65536 + 4096), 0xff, 4096);
    return bump(bytes);
}

static void *outside(size_t bytes)
{
    (void)bytes;
    return at(0xfffffff0);
}

static void *half_outside(size_t bytes)
{
    (void)bytes;
    return at(MEMORY_BYTES - 1);
}

static void no_parameters(void)
{
}

static void release(void *block)
{
    (void)block;
}

typedef void *allocate_fn(size_t);

void run(void)
{
    static allocate_fn *const allocators[] = {bump,     null,    trap,         spin,
                                              nested,   endless, growing,      spoiling,
                                              outside,  half_outside};
    tf_start();
    uint32_t const number = query_number();
    struct string_slice *values = NULL;
    char *path = NULL;
    size_t count = 0, length = 0;
    next = MEMORY_BYTES;
    if (number < sizeof(allocators) / sizeof(allocators[0]))
        hostcall_init_mm(allocators[number], release);
    else if (number == 20) /* no such index */
        hostcall_init_mm((allocate_fn *)opaque(9999), release);
    else if (number == 21) /* the null entry */
        hostcall_init_mm((allocate_fn *)opaque(0), release);
    else if (number == 22) /* of another type */
        hostcall_init_mm((allocate_fn *)no_parameters, release);
    else if (number == 23)
        hostcall_init_mm((allocate_fn *)opaque(0xffffffff), release);
    char *const name = at(65536 + 4096);
    memcpy(name, "host", 4);
    hostcall_req_get_header(&values, &count, 0, name, 4);
    hostcall_req_get_path(&path, &length, 0);
    if (count != 1 || values[0].len == 0 || values[0].ptr[values[0].len] != '\0')
        tf_fail("the header came back wrong");
    hostcall_resp_set_body(0, path, length);
}
