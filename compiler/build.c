#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "compiler/elf_audit.h"
#include "compiler/internal.h"
#include "compiler/plan.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

#define TEXT_BYTES_MAX (1u << 20)

/* ---- after the judge ---- */

/* Key: the tools and flags of a tier, the number of parts, the canonical module, the memory image (active data is in
 * it, and nowhere else), the text that we put around generated C, and what the manifest takes from the record. All is
 * hashed as it was read here, and the second child is given the same bytes. The text is made again by it: what the
 * first child says of that only makes another key. */
static void make_key(const struct tf_compiler *compiler, const struct tf_build *build, const struct tf_buffer *shim,
                     enum tf_tier tier, struct tf_build_judgement *judgement)
{
    const struct tf_manifest *const manifest = &build->manifest;
    uint64_t const numbers[] = {manifest->world, manifest->flags, manifest->memory_pages_min,
                                manifest->memory_pages_max, judgement->plan[tier].parts};
    uint8_t digest[TF_HASH_BYTES];
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, compiler->fingerprint[tier], sizeof(compiler->fingerprint[tier]));
    tf_hash_field(hash, numbers, sizeof(numbers));
    tf_hash_field(hash, manifest->rows, sizeof(manifest->rows));
    tf_hash_field(hash, judgement->canonical.bytes, judgement->canonical.length);
    tf_hash_field(hash, build->image.bytes, build->image.length);
    tf_hash_field(hash, shim->bytes, shim->length);
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, judgement->key[tier]);
}

static int make_keys(const struct tf_compiler *compiler, struct tf_process *process, struct tf_build *build,
                     struct tf_build_judgement *judgement, struct tf_error *error)
{
    struct tf_buffer shim;
    tf_buffer_init(&shim, compiler->job.limits.build_file_bytes);
    int code = tf_process_product(process, TF_JOB_FD_CANONICAL, &judgement->canonical, error);
    if (code == 0)
        code = tf_process_product(process, TF_JOB_FD_SHIM, &shim, error);
    for (int tier = 0; code == 0 && tier < TF_TIER_COUNT; tier++)
        make_key(compiler, build, &shim, (enum tf_tier)tier, judgement);
    build->manifest.canonical_bytes = judgement->canonical.length;
    tf_buffer_dispose(&shim);
    return code;
}

static uint32_t core_count(void)
{
    long const cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (uint32_t)cores : 1;
}

static bool is_sane(const struct tf_compiler *compiler, const struct tf_record *record)
{
    uint32_t const allowed = TF_ABI_START_SNAPSHOT | (compiler->job.is_strict ? TF_ABI_STRICT : 0);
    return record->world <= TF_WORLD_CGI &&
           (record->flags & ~allowed) == 0 && (record->flags & TF_ABI_STRICT) == (allowed & TF_ABI_STRICT) &&
           record->memory_pages_min <= compiler->job.limits.memory_pages && record->memory_pages_max <= 65536;
}

static void make_plans(const struct tf_compiler *compiler, const struct tf_record *record,
                       struct tf_build_judgement *judgement)
{
    struct tf_plan_size const size = {record->code_bytes, record->function_bytes_max};
    for (int tier = 0; tier < TF_TIER_COUNT; tier++) {
        uint32_t const parts = compiler->parts != 0 ? compiler->parts : tf_plan_parts((enum tf_tier)tier, &size);
        judgement->plan[tier] = (struct tf_job_plan){
            .tier = (uint32_t)tier, .parts = parts, .parallel = tf_plan_parallel(&size, parts, core_count())};
    }
    judgement->first = tf_plan_first_tier(&compiler->job, &size);
}

void tf_build_set_tier(const struct tf_compiler *compiler, const struct tf_build_judgement *judgement,
                       enum tf_tier tier, struct tf_build *build)
{
    struct tf_manifest *const manifest = &build->manifest;
    build->tier = tier;
    manifest->flags = judgement->judged.flags | (tier == TF_TIER_FAST ? TF_ABI_FAST_TIER : 0);
    memcpy(manifest->key, judgement->key[tier], sizeof(manifest->key));
    memcpy(manifest->toolchain, compiler->toolchain[tier], sizeof(manifest->toolchain));
}

int tf_build_judged(const struct tf_compiler *compiler, struct tf_process *process, const struct tf_record *record,
                    struct tf_build *build, struct tf_build_judgement *ret_judgement, struct tf_error *error)
{
    *ret_judgement = (struct tf_build_judgement){.deadline_ns = process->deadline_ns};
    tf_buffer_init(&ret_judgement->canonical, compiler->job.limits.build_file_bytes);
    struct tf_manifest *const manifest = &build->manifest;
    uint8_t digest[TF_HASH_BYTES];
    uint64_t const began = tf_clock_ns();
    if (!is_sane(compiler, record))
        return tf_error_set(error, TF_ERR_AUDIT, "the compiler's process describes an impossible module");
    *manifest = (struct tf_manifest){.abi_version = TF_ABI_VERSION,
                                     .cpu_level = compiler->job.cpu_level,
                                     .world = record->world,
                                     .flags = record->flags,
                                     .memory_pages_min = record->memory_pages_min,
                                     .memory_pages_max = record->memory_pages_max};
    memcpy(manifest->rows, record->rows, sizeof(manifest->rows));
    tf_buffer_init(&build->image, record->memory_pages_min * TF_WASM_PAGE_BYTES);
    int code = tf_process_product(process, TF_JOB_FD_IMAGE, &build->image, error);
    if (code != 0)
        return code;
    if (build->image.length % TF_HOST_PAGE_BYTES != 0)
        return tf_error_set(error, TF_ERR_AUDIT, "the memory image is not made of whole pages");
    manifest->image_bytes = build->image.length;
    if (build->image.length != 0) {
        tf_hash_bytes(build->image.bytes, build->image.length, digest);
        tf_hash_hex(digest, manifest->image_sha256);
    }
    ret_judgement->judged = (struct tf_judged){record->world, record->flags, build->image.length};
    make_plans(compiler, record, ret_judgement);
    code = make_keys(compiler, process, build, ret_judgement, error);
    build->stage_ns[TF_STAGE_JUDGE] = record->stage_ns[TF_STAGE_JUDGE];
    build->stage_ns[TF_STAGE_IMAGE] = tf_clock_ns() - began;
    return code;
}

/* ---- the finished artifact ---- */

/* The descriptor in the object agrees with the manifest; what it says by pointers is the loader's to check. */
static int check_module(const struct tf_compiler *compiler, const struct tf_build *build,
                        const struct tf_abi_module *module, struct tf_error *error)
{
    const struct tf_manifest *const manifest = &build->manifest;
    if (module->magic != TF_ABI_MAGIC || module->abi_version != manifest->abi_version ||
        module->struct_bytes < sizeof(*module) || module->cpu_level != manifest->cpu_level ||
        module->world != manifest->world || module->flags != manifest->flags ||
        module->image_bytes != manifest->image_bytes || module->memory_pages_min != manifest->memory_pages_min ||
        module->memory_pages_max != manifest->memory_pages_max ||
        module->table_count > compiler->job.limits.module_tables)
        return tf_error_set(error, TF_ERR_AUDIT, "the linked object's descriptor disagrees with its manifest");
    if (module->instance_bytes > compiler->job.limits.instance_bytes)
        return tf_error_set(error, TF_ERR_LIMIT, "globals and bookkeeping take %llu bytes, over instance_bytes (%llu)",
                            (unsigned long long)module->instance_bytes,
                            (unsigned long long)compiler->job.limits.instance_bytes);
    return 0;
}

/* Ascending, inside the text, of functions that may exist. Overlaps do no harm: it only names what trapped. */
static bool are_functions_sane(const struct tf_compiler *compiler, const struct tf_elf_facts *facts,
                               const struct tf_manifest_function *functions, uint32_t count)
{
    uint64_t const index_max = compiler->job.limits.module_functions + compiler->job.limits.module_imports;
    for (uint32_t i = 0; i < count; i++) {
        const struct tf_manifest_function *const function = &functions[i];
        if (function->text_offset < facts->text_begin || function->text_offset > facts->text_end ||
            function->text_bytes > facts->text_end - function->text_offset || function->index >= index_max ||
            (i > 0 && function->text_offset < functions[i - 1].text_offset))
            return false;
    }
    return true;
}

static int collect_functions(const struct tf_compiler *compiler, struct tf_process *process,
                             const struct tf_elf_facts *facts, struct tf_build *build, struct tf_error *error)
{
    struct tf_manifest *const manifest = &build->manifest;
    size_t const each = sizeof(struct tf_manifest_function);
    struct tf_buffer bytes;
    /* A compiler splits functions into parts: four for each, on average, is more than it ever makes. */
    tf_buffer_init(&bytes, 4 * each * (compiler->job.limits.module_functions + 16));
    int code = tf_process_product(process, TF_JOB_FD_FUNCTIONS, &bytes, error);
    if (code == 0 && (bytes.length % each != 0 ||
                      !are_functions_sane(compiler, facts, (const void *)bytes.bytes, (uint32_t)(bytes.length / each))))
        code = tf_error_set(error, TF_ERR_AUDIT, "the map of functions is broken");
    if (code == 0 && bytes.length != 0) {
        manifest->function_count = (uint32_t)(bytes.length / each);
        manifest->functions = malloc(bytes.length);
        if (manifest->functions == NULL)
            code = tf_error_system(error, "the map of functions");
        else
            memcpy(manifest->functions, bytes.bytes, bytes.length);
    }
    tf_buffer_dispose(&bytes);
    return code;
}

/* Audits what the second child left, once its record is DONE. */
static int collect(const struct tf_compiler *compiler, struct tf_process *process, const struct tf_record *record,
                   struct tf_build *build, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    struct tf_elf_facts facts;
    tf_buffer_init(&build->object, compiler->job.limits.build_file_bytes);
    int code = tf_process_finish(process, error);
    uint64_t const began = tf_clock_ns();
    if (code == 0)
        code = tf_process_product(process, TF_JOB_FD_OBJECT, &build->object, error);
    if (code == 0)
        code = tf_elf_audit(build->object.bytes, build->object.length, &facts, error);
    if (code == 0)
        code = check_module(compiler, build, &facts.module, error);
    if (code == 0)
        code = collect_functions(compiler, process, &facts, build, error);
    if (code != 0)
        return code;
    tf_hash_bytes(build->object.bytes, build->object.length, digest);
    tf_hash_hex(digest, build->manifest.object_sha256);
    build->manifest.object_bytes = build->object.length;
    for (int i = 0; i < TF_STAGE_COUNT; i++)
        if (i != TF_STAGE_IMAGE && i != TF_STAGE_JUDGE)
            build->stage_ns[i] = record->stage_ns[i];
    build->stage_ns[TF_STAGE_LINK] += tf_clock_ns() - began;
    return 0;
}

int tf_build_make(const struct tf_compiler *compiler, const struct tf_build_judgement *judgement,
                  const struct tf_build_request *request, struct tf_build *build, struct tf_error *error)
{
    struct tf_judged const judged = {judgement->judged.world, build->manifest.flags, judgement->judged.image_bytes};
    struct tf_process_config config = {.kind = TF_JOB_BUILD,
                                       .source = judgement->canonical.bytes,
                                       .source_bytes = judgement->canonical.length,
                                       .judged = &judged,
                                       .plan = judgement->plan[build->tier],
                                       .is_background = request->is_background,
                                       .cancel_fd = request->cancel_fd};
    struct tf_process process;
    struct tf_record record;
    if (request->is_background)
        config.plan.parallel = 1;
    int code = tf_process_start_config(compiler, &config, &process, error);
    if (code != 0)
        return code;
    process.deadline_ns = judgement->deadline_ns;
    code = tf_process_receive(&process, TF_RECORD_DONE, &record, error);
    if (code == 0)
        code = collect(compiler, &process, &record, build, error);
    tf_process_end(&process);
    build->cpu_ns += process.sandbox.cpu_ns;
    return code;
}

void tf_build_dispose(struct tf_build *build)
{
    free(build->manifest.functions);
    tf_buffer_dispose(&build->object);
    tf_buffer_dispose(&build->image);
    memset(build, 0, sizeof(*build));
}

/* ---- the public calls ---- */

static int check_source(const struct tf_compiler *compiler, size_t source_bytes, struct tf_error *error)
{
    if (source_bytes <= compiler->job.limits.module_bytes)
        return 0;
    return tf_error_set(error, TF_ERR_LIMIT, "the module has %zu bytes, over module_bytes (%llu)", source_bytes,
                        (unsigned long long)compiler->job.limits.module_bytes);
}

/* The first child, from its start to its end. */
static int judge(const struct tf_compiler *compiler, const struct tf_build_request *request, struct tf_build *build,
                 struct tf_build_judgement *judgement, struct tf_error *error)
{
    struct tf_process_config const config = {.kind = TF_JOB_JUDGE,
                                             .source = request->source,
                                             .source_bytes = request->source_bytes,
                                             .is_background = request->is_background,
                                             .cancel_fd = request->cancel_fd};
    struct tf_process process;
    struct tf_record record;
    int code = tf_process_start_config(compiler, &config, &process, error);
    if (code != 0)
        return code;
    code = tf_process_receive(&process, TF_RECORD_JUDGED, &record, error);
    if (code == 0)
        code = tf_build_judged(compiler, &process, &record, build, judgement, error);
    tf_process_end(&process);
    build->cpu_ns += process.sandbox.cpu_ns;
    return code;
}

static bool is_known(const struct tf_build_request *request, const char *key)
{
    return request->is_known != NULL && request->is_known(request->context, key);
}

static enum tf_tier choose_tier(const struct tf_compiler *compiler, const struct tf_build_request *request,
                                const struct tf_build_judgement *judgement)
{
    enum tf_tier const wanted = request->aim == TF_BUILD_FAST ? TF_TIER_FAST : TF_TIER_OPTIMISED;
    enum tf_tier const other = request->aim == TF_BUILD_FAST ? TF_TIER_OPTIMISED : TF_TIER_FAST;
    if (request->aim != TF_BUILD_FIRST)
        return tf_compiler_has_tier(compiler, wanted) ? wanted : other;
    /* What is there already is live soonest. */
    if (judgement->first == TF_TIER_FAST && tf_compiler_has_tier(compiler, TF_TIER_OPTIMISED) &&
        is_known(request, judgement->key[TF_TIER_OPTIMISED]))
        return TF_TIER_OPTIMISED;
    return judgement->first;
}

static int run_build(const struct tf_compiler *compiler, const struct tf_build_request *request,
                     struct tf_build *build, struct tf_error *error)
{
    struct tf_build_judgement judgement = {0};
    int code = judge(compiler, request, build, &judgement, error);
    if (code == 0) {
        tf_build_set_tier(compiler, &judgement, choose_tier(compiler, request, &judgement), build);
        build->known = is_known(request, build->manifest.key);
    }
    if (code == 0 && !build->known)
        code = tf_build_make(compiler, &judgement, request, build, error);
    else
        tf_buffer_dispose(&build->image);
    tf_buffer_dispose(&judgement.canonical);
    return code;
}

int tf_compiler_build_request(struct tf_compiler *compiler, const struct tf_build_request *request,
                              struct tf_build *ret_build, struct tf_error *error)
{
    struct tf_build build = {0};
    int code = check_source(compiler, request->source_bytes, error);
    if (code == 0)
        code = run_build(compiler, request, &build, error);
    if (code != 0) {
        struct tf_build const left = {.tier = build.tier, .cpu_ns = build.cpu_ns};
        tf_build_dispose(&build);
        build = left;
    }
    *ret_build = build;
    return code;
}

int tf_compiler_build(struct tf_compiler *compiler, const uint8_t *source, size_t source_bytes,
                      tf_build_is_known_fn is_known, void *context, struct tf_build *ret_build,
                      struct tf_error *error)
{
    struct tf_build_request const request = {
        .source = source, .source_bytes = source_bytes, .is_known = is_known, .context = context};
    struct tf_build build;
    int const code = tf_compiler_build_request(compiler, &request, &build, error);
    if (code == 0)
        *ret_build = build;
    return code;
}

int tf_compiler_inspect(struct tf_compiler *compiler, const uint8_t *source, size_t source_bytes,
                        struct tf_buffer *text, struct tf_error *error)
{
    struct tf_process process;
    struct tf_record record;
    struct tf_buffer bytes;
    int code = check_source(compiler, source_bytes, error);
    if (code == 0)
        code = tf_process_start(compiler, TF_JOB_INSPECT, NULL, source, source_bytes, &process, error);
    if (code != 0)
        return code;
    tf_buffer_init(&bytes, TEXT_BYTES_MAX);
    code = tf_process_receive(&process, TF_RECORD_DONE, &record, error);
    if (code == 0)
        code = tf_process_finish(&process, error);
    if (code == 0)
        code = tf_process_product(&process, TF_JOB_FD_TEXT, &bytes, error);
    /* The text goes to a terminal. */
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.bytes[i] != '\n' && (bytes.bytes[i] < 0x20 || bytes.bytes[i] > 0x7e))
            bytes.bytes[i] = '?';
    if (code == 0 && bytes.length != 0 && tf_buffer_append(text, bytes.bytes, bytes.length) != 0)
        code = tf_error_set(error, TF_ERR_LIMIT, "the description is over %zu bytes", text->maximum);
    tf_buffer_dispose(&bytes);
    tf_process_end(&process);
    return code;
}
