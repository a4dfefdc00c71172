#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "compiler/embedded.h"
#include "compiler/flags.h"
#include "compiler/internal.h"
#include <terrafirma/abi.h>

#define PROGRAM_BYTES_MAX (64u << 20)

/* The module that every compiler builds before it builds another: imports a host function, has memory, data and a
 * table, and calls through it. */
static const uint8_t trial_module[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0e, 0x03, 0x60, 0x01, 0x7f, 0x01, 0x7f,
    0x60, 0x02, 0x7f, 0x7f, 0x00, 0x60, 0x00, 0x00, 0x02, 0x16, 0x01, 0x03, 0x65, 0x6e, 0x76, 0x0e,
    0x68, 0x6f, 0x73, 0x74, 0x63, 0x61, 0x6c, 0x6c, 0x5f, 0x64, 0x65, 0x62, 0x75, 0x67, 0x00, 0x01,
    0x03, 0x03, 0x02, 0x00, 0x02, 0x04, 0x04, 0x01, 0x70, 0x00, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01,
    0x07, 0x07, 0x01, 0x03, 0x72, 0x75, 0x6e, 0x00, 0x02, 0x09, 0x07, 0x01, 0x00, 0x41, 0x00, 0x0b,
    0x01, 0x01, 0x0a, 0x21, 0x02, 0x07, 0x00, 0x20, 0x00, 0x41, 0x02, 0x6c, 0x0b, 0x17, 0x00, 0x41,
    0x10, 0x41, 0x01, 0x41, 0x00, 0x11, 0x00, 0x00, 0x10, 0x00, 0x41, 0x08, 0x41, 0x10, 0x28, 0x02,
    0x00, 0x36, 0x02, 0x00, 0x0b, 0x0b, 0x08, 0x01, 0x00, 0x41, 0x10, 0x0b, 0x02, 0x6f, 0x6b,
};

/* ---- configuration ---- */

static int set_cc(struct tf_compiler *compiler, enum tf_tier tier, const char *cc, struct tf_error *error)
{
    char *const path = compiler->job.cc[tier];
    size_t const room = sizeof(compiler->job.cc[tier]);
    int const length = snprintf(path, room, "%s%s", strchr(cc, '/') == NULL ? "/usr/bin/" : "", cc);
    if (length < 0 || (size_t)length >= room || strncmp(path, "/usr/", 5) != 0 || strstr(path, "..") != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "the C compiler must be gcc, clang, or a path below /usr, not %s", cc);
    if (access(path, X_OK) != 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "there is no C compiler %s: install it (scripts/install-deps)",
                            path);
    return 0;
}

/* Without a word about it, a missing clang costs the fast tier only: functions are then live later. */
static int set_tiers(struct tf_compiler *compiler, const struct tf_compiler_config *config, struct tf_error *error)
{
    static const char fast_default[] = "/usr/bin/clang";
    const char *fast = config->fast_cc;
    int code = 0;
    if (fast == NULL && (config->tiers == TF_TIERS_FAST || access(fast_default, X_OK) == 0))
        fast = fast_default;
    if (config->tiers != TF_TIERS_FAST)
        code = set_cc(compiler, TF_TIER_OPTIMISED, config->cc != NULL ? config->cc : "gcc", error);
    if (code == 0 && config->tiers != TF_TIERS_OPTIMISED && fast != NULL)
        code = set_cc(compiler, TF_TIER_FAST, fast, error);
    return code;
}

static int set_wabt_prefix(struct tf_compiler *compiler, const char *prefix, struct tf_error *error)
{
    char path[PATH_MAX];
    if (prefix == NULL)
        prefix = getenv("TF_WABT_PREFIX");
    if (prefix == NULL || prefix[0] == 0)
        prefix = TF_WABT_PREFIX_DEFAULT;
    compiler->wabt_prefix = realpath(prefix, NULL);
    int const length = compiler->wabt_prefix != NULL
                           ? snprintf(path, sizeof(path), "%s/root/usr/bin/wasm2c", compiler->wabt_prefix)
                           : -1;
    if (length < 0 || (size_t)length >= sizeof(path) || access(path, R_OK) != 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "there is no wasm2c in %s: run scripts/install-deps", prefix);
    return 0;
}

/* A copy of the child program that stays the same for the compiler's life, whatever an upgrade does to the file. */
static int load_program(struct tf_compiler *compiler, const char *path, struct tf_buffer *program,
                        struct tf_error *error)
{
    static const char child_name[] = "terrafirma-compiler";
    char beside[PATH_MAX + sizeof(child_name)];
    if (path == NULL) {
        ssize_t const length = readlink("/proc/self/exe", beside, PATH_MAX);
        char *const slash = length > 0 ? memrchr(beside, '/', (size_t)length) : NULL;
        if (slash == NULL)
            return tf_error_system(error, "finding the running program");
        memcpy(slash + 1, child_name, sizeof(child_name));
        path = beside;
    }
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "the compiler's program %s cannot be opened: %s", path,
                            strerror(errno));
    int code = tf_file_read_fd(fd, program, error);
    close(fd);
    if (code != 0)
        return code;
    compiler->program_fd = memfd_create("terrafirma-compiler", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (compiler->program_fd < 0)
        return tf_error_system(error, "copying the compiler's program");
    code = tf_file_write_all(compiler->program_fd, program->bytes, program->length, error);
    if (code == 0 && fcntl(compiler->program_fd, F_ADD_SEALS,
                           F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        code = tf_error_system(error, "copying the compiler's program");
    return code;
}

/* ---- identity ---- */

static void hash_flags(struct tf_hash *hash, const struct tf_flags *flags)
{
    for (size_t i = 0; i < flags->count; i++)
        tf_hash_field(hash, flags->list[i], strlen(flags->list[i]));
}

/* Flags of the linker, and of one tier's compiler. */
static void hash_tier_flags(struct tf_hash *hash, const struct tf_job *job, enum tf_tier tier)
{
    struct tf_flags flags;
    tf_flags_compile(job, tier, 0, &flags);
    hash_flags(hash, &flags);
    tf_flags_link(&flags);
    hash_flags(hash, &flags);
}

static void set_toolchain(struct tf_compiler *compiler, enum tf_tier tier, const char *tools)
{
    const struct tf_job *const job = &compiler->job;
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    struct tf_hash *const hash = tf_hash_create();
    hash_tier_flags(hash, job, tier);
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, hex);
    snprintf(compiler->toolchain[tier], sizeof(compiler->toolchain[tier]),
             "%.80s, %s tier, x86-64-v%u, %s%s, flags %.8s", tools, tf_tier_name(tier), job->cpu_level,
             job->is_strict ? "strict" : "fast", job->is_test_world ? ", test world" : "", hex);
}

/* `tools`: a line a tier. */
static void set_identity(struct tf_compiler *compiler, const char *tools)
{
    const struct tf_job *const job = &compiler->job;
    char lines[TF_TIER_COUNT][80] = {""};
    for (int tier = 0; tier < TF_TIER_COUNT && *tools != 0; tier++) {
        size_t const length = strcspn(tools, "\n");
        snprintf(lines[tier], sizeof(lines[tier]), "%.*s", (int)(length < 79 ? length : 79), tools);
        tools += length + (tools[length] != 0);
        if (lines[tier][0] != 0)
            set_toolchain(compiler, (enum tf_tier)tier, lines[tier]);
    }
    bool const has_both = lines[0][0] != 0 && lines[1][0] != 0;
    const char *const second = strstr(lines[1], ", ");
    snprintf(compiler->identity, sizeof(compiler->identity), "%.80s%s%.60s%s, x86-64-v%u, %s%s",
             lines[lines[0][0] != 0 ? TF_TIER_OPTIMISED : TF_TIER_FAST], has_both ? " (first" : "",
             has_both && second != NULL ? second : "", has_both ? ")" : lines[0][0] != 0 ? "" : " (fast tier)",
             job->cpu_level, job->is_strict ? "strict" : "fast", job->is_test_world ? ", test world" : "");
}

/* What decides the bytes of a tier's artifacts. */
static void set_fingerprint(struct tf_compiler *compiler, enum tf_tier tier, const uint8_t tools[TF_HASH_BYTES])
{
    const struct tf_job *const job = &compiler->job;
    uint64_t const numbers[] = {TF_ABI_VERSION,        job->cpu_level,
                                job->is_strict,        job->is_test_world,
                                job->limits.table_entries, job->limits.stack_frame_bytes,
                                job->limits.instance_bytes, tier};
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, numbers, sizeof(numbers));
    tf_hash_field(hash, tools, TF_HASH_BYTES);
    hash_tier_flags(hash, job, tier);
    for (size_t i = 0; i < TF_EMBEDDED_COUNT; i++)
        tf_hash_field(hash, tf_embedded_files[i].text, strlen(tf_embedded_files[i].text));
    tf_hash_finish(hash, compiler->fingerprint[tier]);
}

/* On top of what decides bytes, what decides whether there is an artifact: a limit that was lowered, or another judge,
 * makes every source be looked at again, but changes no key. */
static void set_fingerprints(struct tf_compiler *compiler, const struct tf_record *record,
                             const struct tf_buffer *program)
{
    const struct tf_job *const job = &compiler->job;
    const struct tf_limits *const limits = &job->limits;
    uint64_t const budget[] = {limits->optimise_cpu_seconds, limits->optimise_wall_seconds,
                               limits->optimise_memory_bytes, limits->build_file_bytes};
    uint8_t digest[TF_HASH_BYTES];
    struct tf_hash *hash = tf_hash_create();
    for (int tier = 0; tier < TF_TIER_COUNT; tier++) {
        bool const is_there = tf_compiler_has_tier(compiler, (enum tf_tier)tier);
        if (is_there)
            set_fingerprint(compiler, (enum tf_tier)tier, record->tools[tier]);
        tf_hash_field(hash, compiler->fingerprint[tier], is_there ? sizeof(compiler->fingerprint[tier]) : 0);
    }
    tf_hash_field(hash, &compiler->parts, sizeof(compiler->parts));
    /* The rows about modules come first in limits.h. */
    tf_hash_field(hash, limits, offsetof(struct tf_limits, build_cpu_seconds));
    tf_hash_field(hash, &limits->memory_pages, sizeof(limits->memory_pages));
    tf_hash_field(hash, program->bytes, program->length);
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, compiler->fingerprint_hex);
    hash = tf_hash_create();
    tf_hash_field(hash, digest, sizeof(digest));
    tf_hash_field(hash, budget, sizeof(budget));
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, compiler->budget_hex);
}

/* ---- the first run ---- */

static int build_trial(const struct tf_compiler *compiler, const struct tf_build_judgement *judgement,
                       enum tf_tier tier, struct tf_build *build, struct tf_error *error)
{
    struct tf_build_request const request = {.source = NULL};
    if (!tf_compiler_has_tier(compiler, tier))
        return 0;
    tf_build_set_tier(compiler, judgement, tier, build);
    int const code = tf_build_make(compiler, judgement, &request, build, error);
    free(build->manifest.functions);
    build->manifest.functions = NULL;
    tf_buffer_dispose(&build->object);
    return code;
}

static int collect_trial(struct tf_compiler *compiler, struct tf_process *process, const struct tf_buffer *program,
                         struct tf_error *error)
{
    struct tf_record record;
    struct tf_build build = {0};
    struct tf_build_judgement judgement = {0};
    struct tf_buffer tools;
    tf_buffer_init(&tools, TF_TOOLCHAIN_BYTES);
    int code = tf_process_receive(process, TF_RECORD_JUDGED, &record, error);
    if (code == 0)
        code = tf_process_product(process, TF_JOB_FD_TEXT, &tools, error);
    if (code == 0 && tools.length != 0) {
        set_identity(compiler, (const char *)tools.bytes);
        set_fingerprints(compiler, &record, program);
        code = tf_build_judged(compiler, process, &record, &build, &judgement, error);
    }
    for (int tier = 0; code == 0 && tier < TF_TIER_COUNT; tier++)
        code = build_trial(compiler, &judgement, (enum tf_tier)tier, &build, error);
    tf_build_dispose(&build);
    tf_buffer_dispose(&judgement.canonical);
    tf_buffer_dispose(&tools);
    return code;
}

/* Canaries, the tools' identity and a whole build of the trial module on each tier. Whatever fails here is the
 * installation's fault: no tenant's byte was involved. */
static int try_out(struct tf_compiler *compiler, const struct tf_buffer *program, struct tf_error *error)
{
    struct tf_process process;
    struct tf_error inner = {0};
    int code = tf_process_start(compiler, TF_JOB_CHECK, NULL, trial_module, sizeof(trial_module), &process, &inner);
    if (code == 0) {
        code = collect_trial(compiler, &process, program, &inner);
        tf_process_end(&process);
    }
    if (code == 0)
        return 0;
    if (code == TF_ERR_SYSTEM || code == TF_ERR_TOOLCHAIN || code == TF_ERR_TIMEOUT)
        return tf_error_set(error, code, "%s", inner.text);
    return tf_error_set(error, TF_ERR_TOOLCHAIN, "the tools failed on a trial module: %.400s", inner.text);
}

/* ---- the public calls ---- */

int tf_compiler_create(const struct tf_compiler_config *config, struct tf_compiler **ret_compiler,
                       struct tf_error *error)
{
    struct tf_buffer program;
    struct tf_compiler *compiler = calloc(1, sizeof(*compiler));
    if (compiler == NULL)
        return tf_error_system(error, "making a compiler");
    compiler->program_fd = -1;
    compiler->spares = tf_spares_create();
    compiler->job = (struct tf_job){.magic = TF_JOB_MAGIC,
                                    .cpu_level = config->cpu_level != 0 ? config->cpu_level : 2,
                                    .is_strict = config->profile == TF_PROFILE_STRICT,
                                    .is_test_world = config->test_world,
                                    .limits = config->limits};
    compiler->parts = config->parts <= TF_JOB_PARTS_MAX ? config->parts : TF_JOB_PARTS_MAX;
    tf_buffer_init(&program, PROGRAM_BYTES_MAX);
    int code = 0;
    if (compiler->job.cpu_level < 2 || compiler->job.cpu_level > 4)
        code = tf_error_set(error, TF_ERR_USAGE, "the CPU level must be 2, 3 or 4, not %u", config->cpu_level);
    if (code == 0)
        code = set_tiers(compiler, config, error);
    if (code == 0 && config->more_flags != NULL &&
        snprintf(compiler->job.more_flags, sizeof(compiler->job.more_flags), "%s", config->more_flags) >=
            (int)sizeof(compiler->job.more_flags))
        code = tf_error_set(error, TF_ERR_USAGE, "the flags of a benchmark are too long");
    if (code == 0)
        code = set_wabt_prefix(compiler, config->wabt_prefix, error);
    if (code == 0)
        code = load_program(compiler, config->child_program, &program, error);
    if (code == 0)
        code = try_out(compiler, &program, error);
    tf_buffer_dispose(&program);
    if (code != 0)
        tf_compiler_destroy(&compiler);
    else
        *ret_compiler = compiler;
    return code;
}

void tf_compiler_destroy(struct tf_compiler **compiler)
{
    if (*compiler == NULL)
        return;
    tf_spares_destroy(&(*compiler)->spares);
    if ((*compiler)->program_fd >= 0)
        close((*compiler)->program_fd);
    free((*compiler)->wabt_prefix);
    free(*compiler);
    *compiler = NULL;
}

const char *tf_compiler_identity(const struct tf_compiler *compiler)
{
    return compiler->identity;
}

const char *tf_compiler_fingerprint(const struct tf_compiler *compiler)
{
    return compiler->fingerprint_hex;
}

const char *tf_compiler_budget_fingerprint(const struct tf_compiler *compiler)
{
    return compiler->budget_hex;
}

bool tf_compiler_has_tier(const struct tf_compiler *compiler, enum tf_tier tier)
{
    return compiler->job.cc[tier][0] != 0;
}

const char *tf_tier_name(enum tf_tier tier)
{
    return tier == TF_TIER_FAST ? "fast" : "optimised";
}
