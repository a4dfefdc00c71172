/*
 * A guest made of a byte array, for testing the host functions alone: it implements guest.h, strictly.
 *
 * Its memory ends where the mapping does, so that a host function which reads past it crashes. Its allocator is a
 * function of the test's choosing; the default one hands out memory upwards from FAKE_HEAP and scribbles over all
 * memory below (where tests put names, slices and out words), as a hostile allocator might.
 */
#ifndef TF_TESTS_RUNTIME_WORLDS_FAKE_H
#define TF_TESTS_RUNTIME_WORLDS_FAKE_H

#include <setjmp.h>
#include <stdio.h>

#include "runtime/worlds/terrarium.h"
#include "runtime/worlds/wasi.h"

#define FAKE_MEMORY_BYTES (1u << 20)
#define FAKE_MEMORY_MOST (2u << 20)
#define FAKE_HEAP 4096u
#define FAKE_LOG_LINES 8
#define FAKE_CALLS 16
#define FAKE_WAIT_MOST_NS 2000000u /* a guest that waits for longer is ended */

struct tf_guest {
    struct tf_abi_header header;
    struct tf_request request;
    struct tf_terrarium terrarium;
    struct tf_limits limits;
    struct tf_arena arena;
    uint8_t *memory;
    uint64_t memory_bytes;
    uint64_t held_bytes; /* beside it, and beside the arena */
    uint32_t heap_next;
    uint32_t allocations;
    uint32_t (*allocate)(struct tf_guest *guest, uint32_t bytes); /* the guest's; NULL: it has none */
    void (*on_allocate)(struct tf_guest *guest); /* called by the default allocator */
    struct {
        char kind[16];
        char text[128];
        size_t length;
    } log[FAKE_LOG_LINES];
    size_t log_lines;
    /* Services. Each call gets the next ticket from 1; its answer is `answers[ticket - 1]`. */
    uint64_t submitted;
    struct {
        uint32_t service, kind;
        uint8_t message[1024];
        size_t length;
    } calls[FAKE_CALLS];
    struct tf_service_answer answers[FAKE_CALLS];
    bool refuses_calls;
    uint32_t released, waits;
    struct tf_wasi *wasi;
    enum tf_world world;
    bool has_exited; /* by tf_guest_exit, which looks like a trap of no kind */
    const char *trap_detail;
    jmp_buf on_trap;
    enum tf_trap trap;
};

/* The one guest of the test program, in a fresh state. */
struct tf_guest *fake_reset(void);
uint32_t fake_bump(struct tf_guest *guest, uint32_t bytes);
/* Puts bytes where the test wants them. */
void fake_put(struct tf_guest *guest, uint32_t address, const void *bytes, size_t length);
uint32_t fake_u32(const struct tf_guest *guest, uint32_t address);
struct tf_text fake_text(const char *text);
/* The bytes at address are `text`, and a NUL. */
bool fake_is_string(const struct tf_guest *guest, uint32_t address, uint32_t length, const char *text);

/* Runs a statement; the trap it ended with, or TF_TRAP_NONE. A trap comes by longjmp, so what changes around the
 * statement is volatile. */
#define TRAP_OF(guest, statement)                                                                  \
    __extension__({                                                                                \
        (guest)->trap = TF_TRAP_NONE;                                                              \
        if (setjmp((guest)->on_trap) == 0) {                                                       \
            statement;                                                                             \
        }                                                                                          \
        (guest)->trap;                                                                             \
    })

#endif
