/* The C compiler on every part, several at once, and the linker. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "compiler/child.h"
#include "compiler/flags.h"

struct running {
    pid_t pid; /* 0: none */
    uint32_t part;
};

struct compile {
    struct tf_child *child;
    const struct tf_job_plan *plan;
    struct running running[TF_JOB_PARALLEL_MAX];
    uint32_t next;
};

static void log_name(uint32_t part, char ret_name[32])
{
    snprintf(ret_name, 32, "cc_%" PRIu32 ".log", part);
}

static int start_part(struct compile *compile, struct running *slot)
{
    struct tf_flags flags;
    char log[32];
    log_name(compile->next, log);
    tf_flags_compile(compile->child->job, (enum tf_tier)compile->plan->tier, compile->next, &flags);
    int const code = tf_child_start(flags.list, log, &slot->pid, &compile->child->error);
    if (code != 0)
        slot->pid = 0;
    slot->part = compile->next++;
    return code;
}

static int end_part(struct compile *compile, struct running *slot, const struct tf_tool_end *end)
{
    char name[32];
    log_name(slot->part, name);
    int const code = tf_child_judge_end(compile->child, "the C compiler", name, end, &compile->child->error);
    unlink(name);
    snprintf(name, sizeof(name), "unit_%" PRIu32 ".c", slot->part);
    unlink(name);
    slot->pid = 0;
    return code;
}

/* Waits for one. False: none runs. */
static bool wait_for_one(struct compile *compile, int *code)
{
    struct tf_tool_end end;
    struct tf_error error;
    pid_t pid;
    bool is_any = false;
    for (uint32_t i = 0; i < compile->plan->parallel; i++)
        is_any |= compile->running[i].pid != 0;
    if (!is_any || tf_child_wait(compile->child, -1, &pid, &end, *code == 0 ? &compile->child->error : &error) != 0) {
        if (is_any && *code == 0)
            *code = TF_ERR_SYSTEM;
        return false;
    }
    for (uint32_t i = 0; i < compile->plan->parallel; i++) {
        if (compile->running[i].pid != pid)
            continue;
        if (*code == 0)
            *code = end_part(compile, &compile->running[i], &end);
        compile->running[i].pid = 0;
    }
    return true;
}

static int list_objects(struct tf_child *child, uint32_t parts, bool has_data)
{
    struct tf_buffer list;
    tf_buffer_init(&list, 65536);
    for (uint32_t part = 0; part < parts; part++)
        tf_buffer_printf(&list, "unit_%" PRIu32 ".o\n", part);
    if (has_data)
        tf_buffer_append_text(&list, "data.o\n");
    int const code = list.failed ? tf_error_set(&child->error, TF_ERR_LIMIT, "too many parts")
                                 : tf_child_write("objects", list.bytes, list.length, &child->error);
    tf_buffer_dispose(&list);
    return code;
}

int tf_child_compile(struct tf_child *child, const struct tf_job_plan *plan, bool has_data)
{
    static const char *const assembler[] = {"/usr/bin/as", "--64", "-o", "data.o", "data.s", NULL};
    struct compile compile = {.child = child, .plan = plan};
    int code = has_data ? tf_child_run_tool(child, assembler, "the assembler", &child->error) : 0;
    if (code == 0)
        code = list_objects(child, plan->parts, has_data);
    while (code == 0 && compile.next < plan->parts) {
        struct running *slot = compile.running;
        while (slot < compile.running + plan->parallel && slot->pid != 0)
            slot++;
        if (slot < compile.running + plan->parallel)
            code = start_part(&compile, slot);
        else
            wait_for_one(&compile, &code);
    }
    while (code == 0 && wait_for_one(&compile, &code))
        continue;
    /* After a failure the others are of no use. */
    for (uint32_t i = 0; i < plan->parallel; i++)
        if (compile.running[i].pid != 0)
            kill(compile.running[i].pid, SIGKILL);
    while (wait_for_one(&compile, &code))
        continue;
    return code;
}

int tf_child_link(struct tf_child *child)
{
    struct tf_flags flags;
    tf_flags_link(&flags);
    return tf_child_run_tool(child, flags.list, "the linker", &child->error);
}
