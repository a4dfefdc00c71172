/*
 * Loops around a counted loop of few turns whose loads are the same in each turn of the outer loop: a table's, taken
 * with holes. A C compiler cannot know that what the loops store is not the table, and gathers it in each turn anew.
 * What is found here only tells where copies may pay; what makes them right is checked where the loops run.
 */
#include <string.h>

#include "compiler/loops_internal.h"

static bool has_store(const struct tf_loop *run)
{
    for (uint32_t i = 0; i < run->line_count; i++)
        if (run->lines[i].is_store)
            return true;
    return false;
}

static bool assigns(const struct tf_loop *run, struct tf_loop_name name)
{
    for (uint32_t i = 0; i < run->line_count; i++)
        if (run->lines[i].to.kind == name.kind && run->lines[i].to.number == name.number)
            return true;
    return false;
}

/* A sum of the inner loop's variables at its head, as one of what variables are at the outer loop's head. */
static struct tf_loop_value at_outer_head(struct tf_loop_nest *nest, const struct tf_loop_value *value)
{
    struct tf_loop_value sum = {.is_known = value->is_known, .condition = -1, .constant = value->constant};
    for (uint32_t i = 0; i < value->term_count; i++) {
        struct tf_loop_name const name = nest->inner.names[value->terms[i].variable];
        uint32_t const variable = name.kind != '*' ? tf_loops_find(&nest->head, name) : TF_LOOP_VARIABLES_MAX;
        if (variable == TF_LOOP_VARIABLES_MAX)
            return (struct tf_loop_value){.condition = -1};
        sum = tf_loops_add(&sum, &nest->head.values[variable], value->terms[i].factor);
    }
    return sum;
}

/* The number of turns after the first, as the prelude counts them. False: it is not known, or not small. */
static bool count_turns(struct tf_loop_nest *nest)
{
    const struct tf_loop *const inner = &nest->inner;
    struct tf_loop_value const left = at_outer_head(nest, &inner->turn.left);
    struct tf_loop_value const right = at_outer_head(nest, &inner->turn.right);
    enum tf_loop_relation const relation = inner->turn.relation;
    if (!left.is_known || !right.is_known || left.term_count + right.term_count != 0 || inner->step.is_variable)
        return false;
    bool const is_up = inner->step.constant > 0;
    uint32_t const step = is_up ? (uint32_t)inner->step.constant : 0 - (uint32_t)inner->step.constant;
    uint32_t const bias = inner->turn.is_signed ? 0x80000000u : 0, from = left.constant + bias;
    uint64_t const limit =
        (uint64_t)(uint32_t)(right.constant + bias) + (relation == TF_LOOP_UPTO || relation == TF_LOOP_ABOVE);
    uint64_t distance = is_up ? limit - from + step - 1 : (uint64_t)from - limit + step;
    if (relation == TF_LOOP_UNEQUAL)
        distance = is_up ? 0 - left.constant : left.constant;
    else if (is_up ? from >= limit : from < limit)
        return false;
    nest->turns = distance / step < TF_LOOP_NEST_TURNS_MAX ? (uint32_t)(distance / step) : 0;
    return nest->turns >= 3;
}

/* What the inner loop's accesses of one turn reach, by group. False: a store may be anywhere, or there is none. */
static bool measure_groups(struct tf_loop *inner)
{
    bool has_any = false;
    for (uint32_t i = 0; i < inner->group_count; i++) {
        inner->groups[i].begin = UINT64_MAX;
        inner->groups[i].end = 0;
        inner->groups[i].is_copied = !inner->groups[i].is_stored && !inner->groups[i].step.is_variable;
    }
    for (uint32_t i = 0; i < inner->line_count; i++)
        if (inner->lines[i].is_store && inner->lines[i].address.kind == 0)
            return false;
    for (uint32_t i = 0; i < inner->access_count; i++) {
        const struct tf_loop_access *const access = &inner->accesses[i];
        const struct tf_loop_line *const line = &inner->lines[access->line];
        struct tf_loop_group *const group = access->group >= 0 ? &inner->groups[access->group] : NULL;
        has_any |= line->is_store;
        if (line->is_store && (group == NULL || group->step.is_variable || line->bytes == 0))
            return false;
        if (group == NULL)
            continue;
        uint64_t const begin = (uint64_t)access->above + line->offset;
        group->begin = begin < group->begin ? begin : group->begin;
        group->end = begin + line->bytes > group->end ? begin + line->bytes : group->end;
        /* What lies side by side is loaded as it is for less than a copy costs. */
        bool const has_holes = group->step.constant > line->bytes || -group->step.constant > line->bytes;
        if (line->cell == NULL || !has_holes)
            group->is_copied = false;
    }
    return has_any;
}

static bool stays(struct tf_loop_nest *nest, const struct tf_loop_value *start)
{
    struct tf_loop_value const value = at_outer_head(nest, start);
    for (uint32_t i = 0; i < value.term_count; i++) {
        struct tf_loop_name const name = nest->head.names[value.terms[i].variable];
        if (name.kind == '*' || assigns(&nest->head, name) || assigns(&nest->inner, name) || assigns(&nest->tail, name))
            return false;
    }
    return value.is_known;
}

static uint32_t copied_bytes(const struct tf_loop_nest *nest, uint32_t group)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < nest->inner.access_count; i++)
        if (nest->inner.accesses[i].group == (int32_t)group)
            bytes += strstr(nest->inner.lines[nest->inner.accesses[i].line].cell, "64") != NULL ? 8 : 4;
    return bytes * (nest->turns + 1);
}

static bool pick_copies(struct tf_loop_nest *nest)
{
    struct tf_loop *const inner = &nest->inner;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < inner->group_count; i++) {
        struct tf_loop_group *const group = &inner->groups[i];
        uint32_t const more = group->is_copied ? copied_bytes(nest, i) : 0;
        group->is_copied = group->is_copied && bytes + more <= TF_LOOP_NEST_COPIED_BYTES_MAX &&
                           stays(nest, &group->start);
        bytes += group->is_copied ? more : 0;
    }
    for (uint32_t i = 0; i < inner->access_count; i++)
        inner->accesses[i].is_copied = inner->accesses[i].group >= 0 &&
                                       inner->groups[inner->accesses[i].group].is_copied;
    return bytes != 0;
}

bool tf_loops_analyse_nest(struct tf_loop_nest *nest)
{
    return nest->head.line_count + nest->inner.line_count + nest->tail.line_count <= TF_LOOP_NEST_LINES_MAX &&
           !has_store(&nest->head) && !has_store(&nest->tail) && tf_loops_run(&nest->head) && count_turns(nest) &&
           measure_groups(&nest->inner) && pick_copies(nest);
}
