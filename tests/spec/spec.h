/*
 * The specification's test suite through our compiler and our runtime: what the files of this folder share.
 *
 * A module of the suite is built for the test world, loaded, and bound to a slot like any function. Its guest never
 * returns: its entry is a loop of ours that parks, is woken for a call, calls the export, and parks again, so that the
 * instance keeps its state from one action to the next. A trap ends the guest as ever; tf_guest_restart puts it back on
 * its instance. A call into another module parks the caller, runs the callee's guest, and wakes the caller with the
 * results, so that each function runs on its own slot and every fault is judged by the rules that hold for any guest.
 */
#ifndef TF_TESTS_SPEC_H
#define TF_TESTS_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cache/cache.h"
#include "compiler/compiler.h"
#include "compiler/test_world.h"
#include "compiler/wasm.h"
#include "loader/internal.h"
#include "runtime/guest.h"
#include "runtime/runtime.h"
#include <terrafirma/abi.h>
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

#define SPEC_MODULE_BYTES_MAX (64u << 20)
#define SPEC_IMPORTS_MAX 64 /* host_stubs.S has as many */

/* ---- values (spec_values.c) ---- */

/* A JSON {"type", "value"} of wast2json. False: no value we know. */
bool spec_value_parse(json_t *json, char *ret_letter, union tf_test_value *ret_value);
/* Does `value` of type `letter` match what the suite expects? `text` gets both in words. */
bool spec_value_matches(json_t *expected, char letter, const union tf_test_value *value, char *text, size_t text_bytes);
/* Is the trap of a kind that the suite's text means? */
bool spec_trap_matches(const char *text, enum tf_trap trap);

/* ---- builds (spec_build.c) ---- */

struct spec_builder {
    struct tf_compiler *compiler;
    struct tf_cache *cache;
    unsigned jobs;
};

/* Key of the source's artifact, built now unless the cache has it. Errors: as tf_compiler_build. Any thread. */
int spec_build(const struct spec_builder *builder, const struct tf_buffer *source, char ret_key[TF_HASH_HEX_BYTES],
               struct tf_error *error);
/* Builds all modules that the commands instantiate, several at once, so that spec_build finds them. */
void spec_build_ahead(const struct spec_builder *builder, int folder_fd, json_t *commands);

/* ---- instances (spec_instance.c, spec_call.c) ---- */

enum spec_state {
    SPEC_LIVE,
    SPEC_IMPORTS,   /* it imports a memory, table or global: refused by name, as it must be */
    SPEC_BROKEN,    /* what should have worked did not */
};

struct spec_instance;

struct spec_import {
    const struct tf_wasm_func_type *type;
    struct spec_instance *instance; /* NULL: one of spectest's, which do nothing */
    const struct tf_test_export *export;
};

struct spec_instance {
    struct spec_instance *next;
    char *name; /* "$M", or NULL */
    bool is_registered;
    /* A refused module would have shared a memory, table or global with it, or with one that it calls: what others see
     * of its state may not be what the suite says (shared-state.txt). */
    bool is_shared;
    enum spec_state state;
    struct tf_buffer source;
    struct tf_wasm_module *wasm;
    struct tf_object object;
    const struct tf_test_module *test;
    struct tf_abi_module abi; /* the module's, with our loop for an entry */
    struct tf_abi_host *host;
    struct spec_import imports[SPEC_IMPORTS_MAX];
    struct tf_function *function;
    struct tf_guest *guest;
    uint8_t *memory; /* of the instance, in its slot */
    /* What the guest is to do next, and the parameters and results of it. */
    const struct tf_test_export *wanted;
    union tf_test_value values[TF_TEST_VALUES_MAX];
    /* What the guest waits for, and how that ended. */
    const struct spec_import *calling;
    enum tf_trap calling_trap;
};

struct spec_registration {
    char *name;
    struct spec_instance *instance;
};

/* What the commands of one file have made so far. */
struct spec_store {
    const struct spec_builder *builder;
    struct tf_runtime *runtime;
    struct tf_limits limits;
    struct spec_instance *instances; /* owned */
    struct spec_instance *current;
    struct spec_registration registrations[32];
    unsigned registration_count;
};

/* How making an instance ended. */
enum spec_made {
    SPEC_MADE,
    SPEC_MADE_REFUSED,    /* by the reader, the judge or the compiler: `error` says why */
    SPEC_MADE_UNLINKABLE, /* an import is unknown or of another type */
    SPEC_MADE_TRAPPED,    /* while it started: `ret_trap` */
    SPEC_MADE_NOT,        /* a failure: `error` says which */
};

/* Makes an instance of `source` (taken over) and puts it first in the store. An instance that was not MADE is there
 * too; its state then says whether that was to be expected. */
enum spec_made spec_instantiate(struct spec_store *store, struct tf_buffer *source, struct spec_instance **ret_instance,
                                enum tf_trap *ret_trap, struct tf_error *error);
/* Drops what no name reaches any more; `everything`: all of it. */
void spec_store_clean(struct spec_store *store, bool everything);
/* By the name that an action gives; NULL name: the current one. NULL: there is none. */
struct spec_instance *spec_find(struct spec_store *store, const char *name);
const struct tf_test_export *spec_find_export(const struct spec_instance *instance, const char *name, size_t length);
int spec_register(struct spec_store *store, const char *name, struct spec_instance *instance);

/* Calls an export whose parameters are in instance->values; the results are there afterwards. A trap's kind, TRAP_NONE,
 * or -1: it neither returned nor trapped. */
int spec_call(struct spec_instance *instance, const struct tf_test_export *export);
/* Runs a guest that was just started until it waits for its first call. As above. */
int spec_await(struct spec_instance *instance);
/* The loop. */
void spec_enter(void *instance_memory);

/* Entries of a module's table of host functions (host_stubs.S): each gives its number to spec_host_call. */
extern void (*const spec_stubs[SPEC_IMPORTS_MAX])(void);

/* ---- commands (spec_commands.c) ---- */

/* Name, head of its column, meaning. */
#define SPEC_COUNTS(X)                                                                                                 \
    X(passed, "passed", "assertions that pass")                                                                        \
    X(failed, "failed", "commands that fail")                                                                          \
    X(different, "fast", "assertions that differ in `fast`, each with its reason in the list")                         \
    X(modules, "modules", "modules built and started")                                                                 \
    X(actions, "actions", "actions without an assertion")                                                              \
    X(imports_refused, "imports", "modules refused by name: they import a memory, table or global")                    \
    X(imports_asked, "(asked)", "assertions on those: there is nothing to ask")                                        \
    X(shared, "(shared)", "assertions on what those would have changed")                                               \
    X(text_skipped, "text", "assertions about the text format, which is not ours to read")

struct spec_counts {
#define X(name, head, what) unsigned name;
    SPEC_COUNTS(X)
#undef X
};

/* A line where an assertion has to fail, for a reason that its list gives. */
struct spec_exception {
    unsigned line;
    bool is_shared; /* from shared-state.txt, else from fast-differences.txt */
    bool is_seen;
};

struct spec_file {
    const char *name; /* "i32.wast" */
    const char *configuration;
    int folder_fd; /* where wast2json put the modules */
    struct spec_store store;
    struct spec_counts counts;
    struct spec_exception *exceptions; /* of this file and configuration */
    size_t exception_count;
    bool addresses_shared; /* the module that the command is about is_shared */
    unsigned line; /* of the command that runs */
    const char *type;
};

void spec_run_commands(struct spec_file *file, json_t *commands);

/* ---- lists (spec_lists.c) ---- */

#define SPEC_FAST_LIST "fast-differences.txt"
#define SPEC_SHARED_LIST "shared-state.txt"
#define SPEC_COUNTS_LIST "expected-counts.txt"

/* Fills file->exceptions (the caller frees them). A list that cannot be understood ends the program. */
bool spec_read_exceptions(struct spec_file *file, bool is_fast);
/* A list that names what does not happen is wrong, like one that does not name what does. */
bool spec_exceptions_seen(const struct spec_file *file);
/* Compares the counts with the file's row in the list; `only_print`: prints a row for it. */
bool spec_counts_fit(const struct spec_file *file, bool only_print);

#endif
