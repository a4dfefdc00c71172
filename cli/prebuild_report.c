/* What `terrafirma prebuild` tells: progress, a summary, a report. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/prebuild.h"

#define QUIET_NS (10 * TF_NS_PER_S)

static size_t total_of(const struct tf_prebuild *prebuild)
{
    return prebuild->count * prebuild->target_count;
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)TF_NS_PER_S;
}

void tf_prebuild_progress(struct tf_prebuild *prebuild, const char *file)
{
    uint64_t const now_ns = tf_clock_ns();
    size_t const total = total_of(prebuild);
    char left[32] = "";
    if (!prebuild->is_terminal && now_ns - prebuild->told_ns < QUIET_NS)
        return;
    prebuild->told_ns = now_ns;
    uint64_t const work = prebuild->work * prebuild->target_count;
    if (prebuild->done > 0)
        snprintf(left, sizeof(left), ", %.0f s left",
                 seconds(now_ns - prebuild->start_ns) / (double)prebuild->work_done *
                     (double)(work - prebuild->work_done));
    fprintf(stderr, "%s[%zu/%zu] %zu built, %zu known, %zu failed%s: %.60s%s", prebuild->is_terminal ? "\r\033[K" : "",
            prebuild->done, total, prebuild->built, prebuild->known, prebuild->failed, left, file,
            prebuild->is_terminal ? "" : "\n");
}

void tf_prebuild_print(const struct tf_prebuild *prebuild)
{
    if (prebuild->is_terminal)
        fprintf(stderr, "\r\033[K");
    for (size_t i = 0; i < total_of(prebuild); i++) {
        const struct tf_prebuild_target *const target = &prebuild->targets[i % prebuild->target_count];
        if (prebuild->outcomes[i].state != TF_PREBUILD_FAILED)
            continue;
        printf("failed: %s", prebuild->files[i / prebuild->target_count].path);
        if (prebuild->target_count > 1)
            printf(" (x86-64-v%u %s)", target->cpu_level, target->profile == TF_PROFILE_STRICT ? "strict" : "fast");
        printf(": %s\n", prebuild->outcomes[i].error != NULL ? prebuild->outcomes[i].error : "no memory");
    }
    printf("%zu functions", prebuild->count);
    if (prebuild->target_count > 1)
        printf(" for %zu targets", prebuild->target_count);
    printf(": %zu built, %zu known already, %zu failed; %.1f s%s\n", prebuild->built, prebuild->known, prebuild->failed,
           seconds(prebuild->wall_ns), prebuild->is_interrupted ? "; interrupted, the same command goes on" : "");
}

static json_t *outcome_to_json(const struct tf_prebuild *prebuild, size_t index)
{
    static const char *const states[] = {"waiting", "built", "known", "failed"};
    static const char *const stages[TF_STAGE_COUNT] = {[TF_STAGE_JUDGE] = "judge", [TF_STAGE_WASM2C] = "wasm2c",
                                                       [TF_STAGE_CC] = "cc", [TF_STAGE_LINK] = "link",
                                                       [TF_STAGE_IMAGE] = "image"};
    const struct tf_prebuild_outcome *const outcome = &prebuild->outcomes[index];
    const struct tf_prebuild_target *const target = &prebuild->targets[index % prebuild->target_count];
    const char *const file = prebuild->files[index / prebuild->target_count].path;
    bool const is_good = outcome->state == TF_PREBUILD_BUILT || outcome->state == TF_PREBUILD_KNOWN;
    json_t *const stage_ms = json_object();
    for (size_t i = 0; i < TF_STAGE_COUNT && outcome->state == TF_PREBUILD_BUILT; i++)
        json_object_set_new(stage_ms, stages[i], json_real(seconds(outcome->built.stage_ns[i]) * 1000));
    json_t *const name = json_string(file);
    return json_pack("{so, si, ss, ss, ss*, ss*, ss*, sf, sf, so}", "file", name != NULL ? name : json_null(),
                     "cpu_level", (int)target->cpu_level, "profile",
                     target->profile == TF_PROFILE_STRICT ? "strict" : "fast", "state", states[outcome->state], "key",
                     is_good ? outcome->built.key : NULL, "tier", is_good ? tf_tier_name(outcome->built.tier) : NULL,
                     "error", outcome->error, "ms", seconds(outcome->built.total_ns) * 1000, "cpu_ms",
                     seconds(outcome->built.cpu_ns) * 1000, "stages_ms", stage_ms);
}

int tf_prebuild_report(const struct tf_prebuild *prebuild, const char *path, struct tf_error *error)
{
    uint64_t cpu_ns = 0;
    json_t *const list = json_array();
    for (size_t i = 0; i < total_of(prebuild); i++) {
        cpu_ns += prebuild->outcomes[i].built.cpu_ns;
        json_array_append_new(list, outcome_to_json(prebuild, i));
    }
    double const wall_s = seconds(prebuild->wall_ns);
    json_t *const report =
        json_pack("{sI, sI, sI, sI, sI, sI, sb, sf, sf, sf, so}", "functions", (json_int_t)prebuild->count, "targets",
                  (json_int_t)prebuild->target_count, "jobs", (json_int_t)prebuild->jobs, "built",
                  (json_int_t)prebuild->built, "known", (json_int_t)prebuild->known, "failed",
                  (json_int_t)prebuild->failed, "interrupted", prebuild->is_interrupted, "seconds", wall_s,
                  "compilers_cpu_seconds", seconds(cpu_ns), "built_per_minute",
                  wall_s > 0 ? 60 * (double)prebuild->built / wall_s : 0.0, "outcomes", list);
    char *const text = report != NULL ? json_dumps(report, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
    json_decref(report);
    if (text == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the report");
    const char *const slash = strrchr(path, '/');
    char *const folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int const fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int const result = fd < 0 ? tf_error_system(error, "cannot write %s", path)
                              : tf_file_write_atomic(fd, slash != NULL ? slash + 1 : path, text, strlen(text), 0644,
                                                     error);
    if (fd >= 0)
        close(fd);
    free(folder);
    free(text);
    return result;
}
