/* Shared by compiler.c, build.c and process.c and by nothing else. */
#ifndef TF_COMPILER_INTERNAL_H
#define TF_COMPILER_INTERNAL_H

#include "base/buffer.h"
#include "compiler/compiler.h"
#include "compiler/job.h"
#include "compiler/sandbox.h"

struct tf_compiler {
    char *wabt_prefix;
    int program_fd; /* the child program, as it was when the compiler was made */
    struct tf_job job;    /* all but kind and source */
    uint32_t parts;       /* of every build; 0: by size */
    struct tf_spares *spares; /* or NULL: every child is started when its job is there */
    uint8_t fingerprint[TF_TIER_COUNT][TF_HASH_BYTES]; /* of what decides an artifact's bytes, but the module */
    char fingerprint_hex[TF_HASH_HEX_BYTES]; /* of all tiers, with the limits that only refuse */
    char budget_hex[TF_HASH_HEX_BYTES];      /* on top of it the limits of optimised builds */
    char identity[TF_TOOLCHAIN_BYTES];
    char toolchain[TF_TIER_COUNT][TF_TOOLCHAIN_BYTES]; /* for manifests: with a short hash of the flags */
};

/* A running child. */
struct tf_process {
    struct tf_sandbox sandbox;
    int records_fd;                /* our end of the pipe */
    int job_fd, go_fd;             /* until the job is given; else -1 */
    int products[TF_JOB_FD_COUNT]; /* memfds; -1: none */
    uint64_t deadline_ns;
    uint64_t wall_seconds; /* for texts */
    bool is_background;
    const int *cancel_fd;  /* readable: nobody wants it any more; NULL: never */
};

/* What a child is started for. */
struct tf_process_config {
    enum tf_job_kind kind;
    const uint8_t *source;
    size_t source_bytes;
    const struct tf_judged *judged; /* BUILD */
    struct tf_job_plan plan;        /* BUILD */
    bool is_background;             /* at the lowest priority, under the limits optimise_… */
    const int *cancel_fd;           /* or NULL */
};

/* process.c. Starts a child that has no job yet, and does not wait for it. Errors: TOOLCHAIN, SYSTEM; there is nothing
 * to end then. */
int tf_process_launch(const struct tf_compiler *compiler, const struct tf_limits *limits, bool is_background,
                      struct tf_process *ret_process, struct tf_error *error);

/* spare.c: children that wait for a job, so that a build does not wait for its sandboxes. Each serves one job, like any
 * other. */
struct tf_spares *tf_spares_create(void); /* NULL without memory */
void tf_spares_destroy(struct tf_spares **spares);
/* One that is there, or false. Tolerates NULL. */
bool tf_spares_take(struct tf_spares *spares, struct tf_process *ret_process);

/* process.c. Starts a child, or takes a spare one, waits for its first word and gives it the job. `judged`: for BUILD,
 * else NULL. Errors: TOOLCHAIN (the sandbox, with its own words), TIMEOUT, SYSTEM; there is nothing to end then. */
int tf_process_start(const struct tf_compiler *compiler, enum tf_job_kind kind, const struct tf_judged *judged,
                     const uint8_t *source, size_t source_bytes, struct tf_process *ret_process,
                     struct tf_error *error);
int tf_process_start_config(const struct tf_compiler *compiler, const struct tf_process_config *config,
                            struct tf_process *ret_process, struct tf_error *error);
/* The next record: `wanted`, or an error: what the child reports as FAILED, TOOLCHAIN (it died or talks nonsense),
 * TIMEOUT, CANCELLED. */
int tf_process_receive(struct tf_process *process, enum tf_record_kind wanted, struct tf_record *ret_record,
                       struct tf_error *error);
/* Waits until the sandbox is empty; products are final then. Errors: TIMEOUT, TOOLCHAIN, CANCELLED. */
int tf_process_finish(struct tf_process *process, struct tf_error *error);
/* Appends a product's bytes. Errors: LIMIT (over the buffer's maximum), SYSTEM. */
int tf_process_product(const struct tf_process *process, enum tf_job_fd product, struct tf_buffer *bytes,
                       struct tf_error *error);
/* Kills what still runs and closes all. */
void tf_process_end(struct tf_process *process);

/* What a build knows between its two children. */
struct tf_build_judgement {
    struct tf_buffer canonical; /* the module that is built; owned */
    struct tf_judged judged;
    struct tf_job_plan plan[TF_TIER_COUNT];
    char key[TF_TIER_COUNT][TF_HASH_HEX_BYTES];
    enum tf_tier first; /* the tier that is live soonest */
    uint64_t deadline_ns;
};

/* build.c. What the JUDGED record's products say: image, keys and what the manifest takes from the record, whatever the
 * tier. `ret_judgement` is to be disposed in any case. */
int tf_build_judged(const struct tf_compiler *compiler, struct tf_process *process, const struct tf_record *record,
                    struct tf_build *build, struct tf_build_judgement *ret_judgement, struct tf_error *error);
/* Builds what was judged in a child of its own on build->tier, audits the object and fills in the rest of `build`.
 * `request`: for its priority and cancellation. */
int tf_build_make(const struct tf_compiler *compiler, const struct tf_build_judgement *judgement,
                  const struct tf_build_request *request, struct tf_build *build, struct tf_error *error);
/* Chooses the tier: sets build->tier and what of the manifest depends on it. */
void tf_build_set_tier(const struct tf_compiler *compiler, const struct tf_build_judgement *judgement,
                       enum tf_tier tier, struct tf_build *build);

#endif
