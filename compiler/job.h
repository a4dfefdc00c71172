/*
 * What the compiler says to its children and back. Both are built together; neither trusts the other's numbers: a child
 * because it is hostile as soon as a module has taken it over, which the parent must survive.
 *
 * A build takes two children, each in a sandbox of its own. The first reads the tenant's bytes and says what is to be
 * built; the second sees nothing but that, and builds it. So an artifact is made from exactly what its key is a hash
 * of: whoever takes over the first child can choose what his own function becomes, and nobody else's; whoever takes
 * over the second does so from the canonical form, which is what the key stands for.
 *
 * A child gets a job (a memfd: struct tf_job, then the source; whole and sealed once GO says so), writes
 * its products into memfds, and speaks in records of fixed size. It may have been started before there was a job for it
 * (compiler/spare.c), and has seen nothing of any by then.
 *
 *     first child (JUDGE)                     parent
 *     STARTED                            ─▶   (before it: the sandbox failed; after it: the child did)
 *                                        ◀─   job, GO
 *     JUDGED (canonical, image, shim)    ─▶   computes the keys from what lies in the memfds; ends the child; chooses
 *                                             the tier; is the artifact known, that is all
 *     second child (BUILD)
 *     STARTED                            ─▶
 *                                        ◀─   job, GO
 *     DONE (object, functions)           ─▶   reads the products once no process of the sandbox is left
 *     FAILED at any point, with the reason
 */
#ifndef TF_COMPILER_JOB_H
#define TF_COMPILER_JOB_H

#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>
#include <terrafirma/manifest.h>

#include "compiler/compiler.h"

#define TF_JOB_MAGIC 0x31424f4a46544621ull
#define TF_JOB_CC_BYTES 256
#define TF_JOB_PARTS_MAX 256u
#define TF_JOB_PARALLEL_MAX 64u
#define TF_JOB_MORE_FLAGS_BYTES 512

enum tf_job_kind {
    TF_JOB_JUDGE,
    TF_JOB_BUILD,   /* the source is a canonical module; `judged` and `plan` count */
    TF_JOB_INSPECT, /* text only */
    TF_JOB_CHECK,   /* canaries and the tools' identity, then as JUDGE */
};

/* What of a JUDGED record decides an artifact's bytes beside the canonical module. */
struct tf_judged {
    uint32_t world; /* enum tf_world */
    uint32_t flags; /* TF_ABI_… */
    uint64_t image_bytes;
};

/* How the second child goes about it. */
struct tf_job_plan {
    uint32_t tier;     /* enum tf_tier */
    uint32_t parts;    /* C files that the module is split into */
    uint32_t parallel; /* C compilers at once */
};

struct tf_job {
    uint64_t magic;
    uint32_t kind; /* enum tf_job_kind */
    uint32_t cpu_level;
    uint32_t is_strict;
    uint32_t is_test_world;
    uint32_t is_background; /* its limits are those of the rows optimise_… */
    char cc[TF_TIER_COUNT][TF_JOB_CC_BYTES]; /* absolute paths in the sandbox; "": there is no such tier */
    char more_flags[TF_JOB_MORE_FLAGS_BYTES];
    struct tf_limits limits;
    struct tf_judged judged; /* BUILD */
    struct tf_job_plan plan; /* BUILD */
    uint64_t source_bytes;
};

/* Descriptors the child is started with. */
enum tf_job_fd {
    TF_JOB_FD_JOB,       /* standard input */
    TF_JOB_FD_RECORDS,   /* standard output */
    TF_JOB_FD_LOG,       /* standard error: what bwrap and the tools complain about */
    TF_JOB_FD_CANONICAL,
    TF_JOB_FD_IMAGE,
    TF_JOB_FD_SHIM,      /* the text around generated C, so that it is part of the key */
    TF_JOB_FD_OBJECT,
    TF_JOB_FD_FUNCTIONS, /* struct tf_manifest_function, ascending */
    TF_JOB_FD_TEXT,      /* INSPECT: the description; CHECK: the tools, "wabt 1.0.36, gcc 12.2.0", a line a tier */
    TF_JOB_FD_GO,        /* a socket: a byte once the job is whole, its end where the parent is gone */
    TF_JOB_FD_COUNT,
};

enum tf_record_kind { TF_RECORD_STARTED = 1, TF_RECORD_JUDGED, TF_RECORD_DONE, TF_RECORD_FAILED };

struct tf_record {
    uint64_t magic;
    uint32_t kind; /* enum tf_record_kind */
    int32_t code;  /* FAILED: enum tf_error_code */
    uint32_t world;
    uint32_t flags; /* TF_ABI_… */
    uint64_t memory_pages_min, memory_pages_max;
    uint8_t rows[TF_ROW_SET_BYTES];
    uint8_t tools[TF_TIER_COUNT][TF_HASH_BYTES]; /* CHECK: over the tools' files */
    uint64_t code_bytes, function_bytes_max;     /* of all function bodies, and of the largest */
    uint64_t stage_ns[TF_STAGE_COUNT];
    char text[TF_ERROR_TEXT_BYTES];
};

/* Paths inside the sandbox. */
#define TF_SANDBOX_WABT "/wabt"
#define TF_SANDBOX_CHILD "/terrafirma-compiler"
#define TF_SANDBOX_JOB "/job"

#endif
