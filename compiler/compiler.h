/*
 * The compiler, as seen by the builder and the command line: bytes of a module in, a checked artifact out.
 *
 * The work itself (parse, validate, judge, canonicalise, wasm2c, text audit, C compiler, link) runs in a child process
 * inside a sandbox (compiler/sandbox.h); the ELF audit of what it left runs here. Control plane: may allocate, may take
 * minutes, never called by a worker. All functions may be called from several threads at once on one compiler.
 */
#ifndef TF_COMPILER_COMPILER_H
#define TF_COMPILER_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>
#include <terrafirma/manifest.h>

enum tf_profile { TF_PROFILE_FAST = 0, TF_PROFILE_STRICT = 1 };

/* How much work the C compiler puts into a module; equally safe, and equal in what a guest can see but time and depth
 * of recursion. docs/compiler.md has the measurements. */
enum tf_tier {
    TF_TIER_OPTIMISED = 0,
    TF_TIER_FAST = 1, /* quick to make: serves until the other is there */
    TF_TIER_COUNT
};
const char *tf_tier_name(enum tf_tier tier);

/* Which tiers there are. */
enum tf_tiers { TF_TIERS_BOTH = 0, TF_TIERS_FAST = 1, TF_TIERS_OPTIMISED = 2 };

struct tf_compiler_config {
    const char *wabt_prefix;  /* private prefix that scripts/install-deps makes; NULL: the built-in default */
    const char *cc;           /* "gcc" or "clang", or a path below /usr; NULL: gcc */
    const char *fast_cc;      /* the fast tier's; NULL: clang where there is one, else no fast tier */
    enum tf_tiers tiers;
    const char *child_program; /* terrafirma-compiler; NULL: beside the running program */
    uint32_t cpu_level;       /* 2, 3 or 4; 0: 2 */
    enum tf_profile profile;
    /* Tests only: builds for the specification's suite (compiler/test_world.h). Such artifacts have keys of their own
     * and no server loads them. */
    bool test_world;
    uint32_t parts; /* tests only: C files of every build; 0: by size */
    /* Benchmarks only: words that follow the optimised tier's flags, part of its keys. NULL: none. */
    const char *more_flags;
    struct tf_limits limits;
};

struct tf_compiler;

/* Checks the tools (versions, wasm2c's prelude, canary modules, that the sandbox works) and remembers their identity,
 * which is part of every key. Errors: TOOLCHAIN (names tool and remedy), USAGE, SYSTEM. */
int tf_compiler_create(const struct tf_compiler_config *config, struct tf_compiler **ret_compiler,
                       struct tf_error *error);
/* Frees and nulls; tolerates NULL. No build may be running. */
void tf_compiler_destroy(struct tf_compiler **compiler);
/* "wabt 1.0.36, gcc 12.2.0, x86-64-v2, fast"; owned by the compiler. */
const char *tf_compiler_identity(const struct tf_compiler *compiler);
/* SHA-256 over everything but the module that decides an artifact's bytes: the same source with the same fingerprint
 * has the same key, so that unchanged input costs a hash. */
const char *tf_compiler_fingerprint(const struct tf_compiler *compiler);
/* The same, and the budget of optimised builds: names the outcome "not within this budget". */
const char *tf_compiler_budget_fingerprint(const struct tf_compiler *compiler);
/* Starts sandboxes that wait for the next builds, if some are missing, and returns at once: a build that finds them
 * begins some 10 ms earlier. They die with the thread that called. A failure shows in the next build. */
void tf_compiler_prepare(struct tf_compiler *compiler);
/* Whether tf_compiler_prepare would start one. */
bool tf_compiler_is_prepared(struct tf_compiler *compiler);
/* Whether there is a tier of this name. */
bool tf_compiler_has_tier(const struct tf_compiler *compiler, enum tf_tier tier);

enum tf_build_stage {
    TF_STAGE_JUDGE,    /* parse, validate, judge, canonicalise */
    TF_STAGE_WASM2C,   /* and the text audit */
    TF_STAGE_CC,
    TF_STAGE_LINK,     /* and the ELF audit */
    TF_STAGE_IMAGE,
    TF_STAGE_COUNT
};

struct tf_build {
    struct tf_manifest manifest; /* owned */
    struct tf_buffer object;     /* the .so; owned */
    struct tf_buffer image;      /* page-aligned image of the linear memory; owned; length 0: none */
    uint64_t stage_ns[TF_STAGE_COUNT];
    bool known;                  /* `is_known` said yes: manifest.key is set, object and image are empty */
    enum tf_tier tier;
    uint64_t cpu_ns;             /* of the build's processes, however they ended */
};

/* What a build is to make. */
enum tf_build_aim {
    TF_BUILD_FIRST,     /* what is live soonest: optimised where that takes at most first_build_ms, by estimate */
    TF_BUILD_OPTIMISED, /* or fast where there is no optimised tier */
    TF_BUILD_FAST,      /* or optimised where there is no fast tier */
};

/* Asked once the key is known; true: the caller has the artifact already and the build ends there. With
 * TF_BUILD_FIRST it is asked for the optimised artifact first, then for that of the tier that was chosen. */
typedef bool (*tf_build_is_known_fn)(void *context, const char *key);

struct tf_build_request {
    const uint8_t *source; /* read, not kept */
    size_t source_bytes;
    enum tf_build_aim aim;
    /* At the lowest priority the kernel has, one tool at a time, under the limits optimise_…. */
    bool is_background;
    const int *cancel_fd; /* readable: the build is to end with CANCELLED; NULL: never */
    tf_build_is_known_fn is_known; /* or NULL */
    void *context;
};

/* Builds one module. Errors: MALFORMED, INVALID, REFUSED, LIMIT (text names the import, the limit or the byte offset),
 * TOOLCHAIN, TIMEOUT, AUDIT, SYSTEM, CANCELLED. `ret_build` must be disposed after success; after a failure its
 * `cpu_ns` and `tier` alone are set. */
int tf_compiler_build_request(struct tf_compiler *compiler, const struct tf_build_request *request,
                              struct tf_build *ret_build, struct tf_error *error);
/* As above with TF_BUILD_FIRST in the foreground. */
int tf_compiler_build(struct tf_compiler *compiler, const uint8_t *source, size_t source_bytes,
                      tf_build_is_known_fn is_known, void *context, struct tf_build *ret_build,
                      struct tf_error *error);
void tf_build_dispose(struct tf_build *build);

/* A description of a module for `terrafirma inspect`: appends a text of lines (world, imports, exports, memory, tables,
 * functions, verdict). Runs in the sandbox like a build. A module that is refused is described too, with the reason. */
int tf_compiler_inspect(struct tf_compiler *compiler, const uint8_t *source, size_t source_bytes,
                        struct tf_buffer *text, struct tf_error *error);

#endif
