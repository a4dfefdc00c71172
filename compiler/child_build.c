#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "compiler/child.h"
#include "compiler/embedded.h"
#include "compiler/shim.h"
#include "compiler/symbols.h"
#include <terrafirma/abi.h>

#define SHIM_BYTES_MAX (256u << 20)

struct build {
    struct tf_child *child;
    struct tf_wasm_module *source;    /* judged; where the job is to judge */
    struct tf_wasm_module *canonical; /* read back from `bytes`, or from the job */
    struct tf_buffer bytes, image;
    struct tf_judged judged;
    struct tf_child_shim shim;
    uint64_t stage_began;
};

static void end_stage(struct build *build, enum tf_build_stage stage)
{
    uint64_t const now = tf_clock_ns();
    build->child->record.stage_ns[stage] = now - build->stage_began;
    build->stage_began = now;
}

/* ---- judge and canonicalise ---- */

/* What follows speaks of the bytes that wasm2c gets, and they validate like any others. */
static int read_canonical(struct build *build, const uint8_t *bytes, size_t length)
{
    struct tf_error inner = {0};
    struct tf_limits limits = build->child->job->limits;
    limits.module_bytes = UINT64_MAX;
    limits.module_exports = UINT32_MAX;
    if (tf_wasm_read(bytes, length, &limits, TF_WASM_FEATURE_SIMD, &build->canonical, &inner) != 0)
        return tf_error_set(&build->child->error, TF_ERR_AUDIT, "the canonical module does not validate: %.300s",
                            inner.text);
    return 0;
}

static int judge(struct build *build)
{
    struct tf_child *const child = build->child;
    const struct tf_job *const job = child->job;
    int code = tf_wasm_read(child->source, job->source_bytes, &job->limits, TF_WASM_FEATURE_SIMD, &build->source,
                            &child->error);
    if (code == 0)
        code = job->is_test_world ? tf_wasm_judge_test_world(build->source, &job->limits, &child->error)
                                  : tf_wasm_judge(build->source, &job->limits, &child->error);
    if (code == 0)
        code = tf_wasm_canonicalise(build->source, &build->bytes, &build->image, &child->error);
    if (code != 0)
        return code;
    build->judged.world = build->source->world;
    build->judged.flags = (job->is_strict ? TF_ABI_STRICT : 0) |
                          (build->source->start_is_snapshot_safe ? TF_ABI_START_SNAPSHOT : 0);
    build->judged.image_bytes = build->image.length;
    return read_canonical(build, build->bytes.bytes, build->bytes.length);
}

static int write_shim(struct build *build)
{
    struct tf_child *const child = build->child;
    struct tf_shim const shim = {.canonical = build->canonical,
                                 .judged = build->judged,
                                 .limits = &child->job->limits,
                                 .cpu_level = child->job->cpu_level,
                                 .is_strict = child->job->is_strict != 0,
                                 .is_test_world = child->job->is_test_world != 0};
    int code = tf_shim_before(&shim, &build->shim.before, &child->error);
    if (code == 0)
        code = tf_shim_between(&shim, &build->shim.between, &child->error);
    if (code == 0)
        code = tf_shim_after(&shim, &build->shim.after, &child->error);
    return code;
}

static int deliver_judged(struct build *build)
{
    struct tf_child *const child = build->child;
    int code = tf_child_deliver(TF_JOB_FD_CANONICAL, build->bytes.bytes, build->bytes.length, &child->error);
    if (code == 0)
        code = tf_child_deliver(TF_JOB_FD_IMAGE, build->image.bytes, build->image.length, &child->error);
    const struct tf_buffer *const parts[] = {&build->shim.before, &build->shim.between, &build->shim.after};
    for (size_t i = 0; code == 0 && i < 3; i++)
        code = tf_child_deliver(TF_JOB_FD_SHIM, parts[i]->bytes, parts[i]->length, &child->error);
    child->record.world = build->judged.world;
    child->record.flags = build->judged.flags;
    memcpy(child->record.rows, build->source->rows, sizeof(child->record.rows));
    tf_wasm_measure_code(build->canonical, &child->record.code_bytes, &child->record.function_bytes_max);
    if (build->canonical->has_memory) {
        child->record.memory_pages_min = build->canonical->memory_min;
        child->record.memory_pages_max = build->canonical->memory_has_max ? build->canonical->memory_max : 65536;
    }
    return code;
}

/* ---- wasm2c and the C compiler ---- */

static int run_wasm2c(struct build *build, bool *ret_has_data)
{
    struct tf_child *const child = build->child;
    const struct tf_job_plan *const plan = &child->job->plan;
    const char *const *arguments;
    tf_child_wasm2c_arguments("m.wasm", plan->parts, &arguments);
    int code = tf_child_write("m.wasm", child->source, child->job->source_bytes, &child->error);
    if (code == 0)
        code = tf_child_run_tool(child, arguments, "wasm2c", &child->error);
    unlink("m.wasm");
    return code != 0 ? code : tf_child_write_units(child, &build->shim, plan, ret_has_data);
}

static int write_prelude(struct build *build)
{
    struct tf_error *const error = &build->child->error;
    int code = 0;
    static const char *const folders[] = {"terrafirma", "compiler", "simde", "simde/wasm"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (mkdir(folders[i], 0700) != 0)
            return tf_error_system(error, "making a folder of the build");
    for (size_t i = 0; code == 0 && i < TF_EMBEDDED_COUNT; i++)
        code = tf_child_write(tf_embedded_files[i].name, tf_embedded_files[i].text, strlen(tf_embedded_files[i].text),
                              error);
    return code;
}

static int compile_and_link(struct build *build, bool has_data)
{
    struct tf_child *const child = build->child;
    struct tf_buffer object = {0}, functions;
    int code = tf_child_compile(child, &child->job->plan, has_data);
    if (code != 0)
        return code;
    end_stage(build, TF_STAGE_CC);
    code = tf_child_link(child);
    tf_buffer_init(&functions, SHIM_BYTES_MAX);
    if (code == 0)
        code = tf_child_read(child, "unit.so", &object, &child->error);
    if (code == 0)
        code = tf_symbols_functions(&object, build->canonical, child->job->is_test_world != 0, &functions,
                                    &child->error);
    if (code == 0)
        code = tf_symbols_strip(&object, &child->error);
    if (code == 0)
        code = tf_child_deliver(TF_JOB_FD_OBJECT, object.bytes, object.length, &child->error);
    if (code == 0)
        code = tf_child_deliver(TF_JOB_FD_FUNCTIONS, functions.bytes, functions.length, &child->error);
    tf_buffer_dispose(&object);
    tf_buffer_dispose(&functions);
    end_stage(build, TF_STAGE_LINK);
    return code;
}

static void dispose(struct build *build)
{
    tf_wasm_destroy(&build->canonical);
    tf_wasm_destroy(&build->source);
    tf_buffer_dispose(&build->bytes);
    tf_buffer_dispose(&build->image);
    tf_buffer_dispose(&build->shim.before);
    tf_buffer_dispose(&build->shim.between);
    tf_buffer_dispose(&build->shim.after);
}

static void init(struct build *build, struct tf_child *child)
{
    *build = (struct build){.child = child, .stage_began = tf_clock_ns()};
    tf_buffer_init(&build->bytes, child->job->limits.build_file_bytes);
    tf_buffer_init(&build->image, child->job->limits.memory_pages * TF_WASM_PAGE_BYTES);
    tf_buffer_init(&build->shim.before, SHIM_BYTES_MAX);
    tf_buffer_init(&build->shim.between, SHIM_BYTES_MAX);
    tf_buffer_init(&build->shim.after, SHIM_BYTES_MAX);
}

int tf_child_judge(struct tf_child *child)
{
    struct build build;
    init(&build, child);
    int code = judge(&build);
    if (code == 0)
        code = write_shim(&build);
    if (code == 0)
        code = deliver_judged(&build);
    end_stage(&build, TF_STAGE_JUDGE);
    if (code == 0)
        tf_child_send(child, TF_RECORD_JUDGED);
    dispose(&build);
    return code;
}

int tf_child_build(struct tf_child *child)
{
    struct build build;
    bool has_data = false;
    init(&build, child);
    build.judged = child->job->judged;
    int code = read_canonical(&build, child->source, child->job->source_bytes);
    if (code == 0)
        code = write_shim(&build);
    if (code == 0)
        code = write_prelude(&build);
    if (code == 0)
        code = run_wasm2c(&build, &has_data);
    end_stage(&build, TF_STAGE_WASM2C);
    if (code == 0)
        code = compile_and_link(&build, has_data);
    dispose(&build);
    return code;
}

int tf_child_inspect(struct tf_child *child)
{
    struct build build;
    struct tf_buffer text;
    init(&build, child);
    tf_buffer_init(&text, SHIM_BYTES_MAX);
    int code = judge(&build);
    if (build.source != NULL)
        tf_wasm_describe(build.source, &text);
    if (code == 0)
        tf_buffer_append_text(&text, "verdict: served\n");
    else
        tf_buffer_printf(&text, "verdict: %s: %s\n", tf_error_name(code), child->error.text);
    /* A refusal is a description too. */
    if (code != TF_ERR_SYSTEM)
        code = tf_child_deliver(TF_JOB_FD_TEXT, text.bytes, text.length, &child->error);
    tf_buffer_dispose(&text);
    dispose(&build);
    return code;
}
