/*
 * What a loop's variables are, as sums of what they were at its head. A variable of the loop is one that changes by a
 * constant in each turn, or not at all; an address is one if all it is a sum of is. Everything is modulo 2^32, as in
 * WebAssembly, so that there are no cases: only the check in the text that is written tells what wraps.
 */
#include <stdlib.h>
#include <string.h>

#include "compiler/loops_internal.h"

static const struct tf_loop_value unknown = {.condition = -1};

static struct tf_loop_value constant_of(uint32_t number)
{
    return (struct tf_loop_value){.is_known = true, .condition = -1, .constant = number};
}

static bool is_constant(const struct tf_loop_value *value)
{
    return value->is_known && value->term_count == 0;
}

struct tf_loop_value tf_loops_add(const struct tf_loop_value *a, const struct tf_loop_value *b, uint32_t factor)
{
    struct tf_loop_value sum = constant_of(a->constant + factor * b->constant);
    uint32_t i = 0, j = 0;
    if (!a->is_known || !b->is_known)
        return unknown;
    while (i < a->term_count || j < b->term_count) {
        struct tf_loop_term term;
        if (j == b->term_count || (i < a->term_count && a->terms[i].variable < b->terms[j].variable)) {
            term = a->terms[i++];
        } else {
            term = (struct tf_loop_term){b->terms[j].variable, factor * b->terms[j].factor};
            if (i < a->term_count && a->terms[i].variable == term.variable)
                term.factor += a->terms[i++].factor;
            j++;
        }
        if (term.factor == 0)
            continue;
        if (sum.term_count == TF_LOOP_TERMS_MAX)
            return unknown;
        sum.terms[sum.term_count++] = term;
    }
    return sum;
}

static struct tf_loop_value multiply(const struct tf_loop_value *value, uint32_t factor)
{
    struct tf_loop_value const zero = constant_of(0);
    return tf_loops_add(&zero, value, factor);
}

uint32_t tf_loops_find(struct tf_loop *loop, struct tf_loop_name name)
{
    uint32_t i = 0;
    while (i < loop->variable_count && (loop->names[i].kind != name.kind || loop->names[i].number != name.number))
        i++;
    if (i == loop->variable_count && i < TF_LOOP_VARIABLES_MAX) {
        loop->names[i] = name;
        loop->values[i] = constant_of(0);
        loop->values[i].terms[0] = (struct tf_loop_term){(uint8_t)i, 1};
        loop->values[i].term_count = 1;
        loop->variable_count++;
    }
    return i;
}

static bool has_product(const struct tf_loop *loop, const struct tf_loop_value *value)
{
    for (uint32_t i = 0; i < value->term_count; i++)
        if (loop->names[value->terms[i].variable].kind == '*')
            return true;
    return false;
}

static struct tf_loop_value product_of(struct tf_loop *loop, const struct tf_loop_value *a,
                                       const struct tf_loop_value *b)
{
    struct tf_loop_name const name = {'*', loop->product_count};
    if (is_constant(b))
        return multiply(a, b->constant);
    if (is_constant(a))
        return multiply(b, a->constant);
    if (!a->is_known || !b->is_known || has_product(loop, a) || has_product(loop, b) ||
        loop->product_count == TF_LOOP_PRODUCTS_MAX)
        return unknown;
    uint32_t const variable = tf_loops_find(loop, name);
    if (variable == TF_LOOP_VARIABLES_MAX)
        return unknown;
    struct tf_loop_product *const product = &loop->products[loop->product_count++];
    *product = (struct tf_loop_product){(uint8_t)variable, *a, *b};
    return loop->values[variable];
}

static struct tf_loop_value condition_of(struct tf_loop *loop, enum tf_loop_relation relation, bool is_signed,
                                         const struct tf_loop_value *left, const struct tf_loop_value *right)
{
    struct tf_loop_value truth = unknown;
    if (loop->condition_count == TF_LOOP_CONDITIONS_MAX || !left->is_known || !right->is_known)
        return truth;
    truth.condition = (int8_t)loop->condition_count;
    loop->conditions[loop->condition_count++] =
        (struct tf_loop_condition){.relation = relation, .is_signed = is_signed, .left = *left, .right = *right};
    return truth;
}

static struct tf_loop_value negate(struct tf_loop *loop, const struct tf_loop_value *value)
{
    static const enum tf_loop_relation opposites[] = {
        [TF_LOOP_EQUAL] = TF_LOOP_UNEQUAL, [TF_LOOP_UNEQUAL] = TF_LOOP_EQUAL, [TF_LOOP_BELOW] = TF_LOOP_FROM,
        [TF_LOOP_UPTO] = TF_LOOP_ABOVE,    [TF_LOOP_ABOVE] = TF_LOOP_UPTO,    [TF_LOOP_FROM] = TF_LOOP_BELOW,
    };
    struct tf_loop_value const zero = constant_of(0);
    if (value->condition < 0)
        return condition_of(loop, TF_LOOP_EQUAL, false, value, &zero);
    struct tf_loop_condition const old = loop->conditions[value->condition];
    return condition_of(loop, opposites[old.relation], old.is_signed, &old.left, &old.right);
}

static struct tf_loop_value result_of(struct tf_loop *loop, const struct tf_loop_line *line, uint32_t to, uint32_t from)
{
    const struct tf_loop_value *const a = &loop->values[to], *const b = &loop->values[from];
    switch (line->form) {
    case TF_LOOP_CONSTANT:
        return constant_of(line->number);
    case TF_LOOP_COPY:
        return *b;
    case TF_LOOP_ADD:
        return tf_loops_add(a, b, 1);
    case TF_LOOP_SUBTRACT:
        return tf_loops_add(a, b, UINT32_MAX);
    case TF_LOOP_MULTIPLY:
        return product_of(loop, a, b);
    case TF_LOOP_SHIFT:
        return is_constant(b) ? multiply(a, 1u << (b->constant & 31)) : unknown;
    case TF_LOOP_NOT:
        return negate(loop, a);
    case TF_LOOP_COMPARE:
        return condition_of(loop, line->relation, line->is_signed, a, b);
    default:
        return unknown;
    }
}

static bool note_divisor(struct tf_loop *loop, struct tf_loop_name name)
{
    uint32_t const divisor = tf_loops_find(loop, name);
    if (divisor == TF_LOOP_VARIABLES_MAX)
        return false;
    if (!is_constant(&loop->values[divisor]) && loop->divisor_count < TF_LOOP_DIVISORS_MAX)
        loop->divisors[loop->divisor_count++] = loop->values[divisor];
    return true;
}

/* One turn. The address of an access is what its variable is before the line's own assignment. */
bool tf_loops_run(struct tf_loop *loop)
{
    loop->variable_count = loop->condition_count = loop->access_count = loop->group_count = loop->divisor_count = 0;
    loop->product_count = 0;
    for (uint32_t i = 0; i < loop->line_count; i++) {
        const struct tf_loop_line *const line = &loop->lines[i];
        bool const has_from = line->from.kind != 0;
        if (line->address.kind != 0) {
            uint32_t const address = tf_loops_find(loop, line->address);
            if (address == TF_LOOP_VARIABLES_MAX || loop->access_count == TF_LOOP_ACCESSES_MAX)
                return false;
            loop->accesses[loop->access_count++] =
                (struct tf_loop_access){.line = i, .address = loop->values[address], .group = -1};
        }
        if (line->divisor.kind != 0 && !note_divisor(loop, line->divisor))
            return false;
        if (line->to.kind == 0)
            continue;
        uint32_t const to = tf_loops_find(loop, line->to), from = has_from ? tf_loops_find(loop, line->from) : to;
        if (to == TF_LOOP_VARIABLES_MAX || from == TF_LOOP_VARIABLES_MAX)
            return false;
        loop->values[to] = result_of(loop, line, to, from);
    }
    return true;
}

/* By how much it changes in each turn. False: it is not known to change by the same in each. */
static bool step_of(const struct tf_loop *loop, const struct tf_loop_value *value, struct tf_loop_step *ret_step)
{
    struct tf_loop_value step = constant_of(0);
    if (!value->is_known)
        return false;
    for (uint32_t i = 0; i < value->term_count; i++) {
        uint8_t const variable = value->terms[i].variable;
        struct tf_loop_value before = constant_of(0);
        before.terms[before.term_count++] = (struct tf_loop_term){variable, 1};
        struct tf_loop_value const change = tf_loops_add(&loop->values[variable], &before, UINT32_MAX);
        step = tf_loops_add(&step, &change, value->terms[i].factor);
        if (!step.is_known)
            return false;
    }
    *ret_step = (struct tf_loop_step){.constant = (int32_t)step.constant, .is_variable = step.term_count != 0,
                                      .value = step};
    for (uint32_t i = 0; i < step.term_count; i++) {
        struct tf_loop_value const *const after = &loop->values[step.terms[i].variable];
        if (!after->is_known || after->constant != 0 || after->term_count != 1 || after->terms[0].factor != 1 ||
            after->terms[0].variable != step.terms[i].variable)
            return false;
    }
    return step.term_count != 0 ||
           (ret_step->constant >= -TF_LOOP_STEP_MAX && ret_step->constant <= TF_LOOP_STEP_MAX);
}

static bool is_zero(const struct tf_loop_step *step)
{
    return !step->is_variable && step->constant == 0;
}

/* What a product is at the head of the next turn, once that is known of its sides: if one stays and the other changes
 * by a constant, the product changes by as many times the one that stays. */
static void follow_products(struct tf_loop *loop)
{
    for (uint32_t i = 0; i < loop->product_count; i++) {
        const struct tf_loop_product *const product = &loop->products[i];
        struct tf_loop_value *const value = &loop->values[product->variable];
        struct tf_loop_step left, right;
        if (!step_of(loop, &product->left, &left) || !step_of(loop, &product->right, &right))
            *value = unknown;
        else if (is_zero(&right) && !left.is_variable)
            *value = tf_loops_add(value, &product->right, (uint32_t)left.constant);
        else if (is_zero(&left) && !right.is_variable)
            *value = tf_loops_add(value, &product->left, (uint32_t)right.constant);
        else
            *value = unknown;
    }
}

/* x + c >= x, the idiom for a sum that does not wrap, says that x is below 2^32 - c. */
static void unfold_carry(struct tf_loop_condition *turn)
{
    bool const is_left = turn->relation == TF_LOOP_FROM, is_right = turn->relation == TF_LOOP_UPTO;
    const struct tf_loop_value *const sum = is_left ? &turn->left : &turn->right;
    struct tf_loop_value const x = is_left ? turn->right : turn->left, carry = tf_loops_add(sum, &x, UINT32_MAX);
    if (turn->is_signed || !(is_left || is_right) || !is_constant(&carry) || carry.constant == 0)
        return;
    turn->relation = TF_LOOP_BELOW;
    turn->left = x;
    turn->right = constant_of(0 - carry.constant);
}

/* The condition of the branch back, with the side that changes on the left. False: it does not count. */
static bool find_turn(struct tf_loop *loop)
{
    static const enum tf_loop_relation mirrored[] = {
        [TF_LOOP_EQUAL] = TF_LOOP_EQUAL, [TF_LOOP_UNEQUAL] = TF_LOOP_UNEQUAL, [TF_LOOP_BELOW] = TF_LOOP_ABOVE,
        [TF_LOOP_UPTO] = TF_LOOP_FROM,   [TF_LOOP_ABOVE] = TF_LOOP_BELOW,     [TF_LOOP_FROM] = TF_LOOP_UPTO,
    };
    struct tf_loop_condition *const turn = &loop->turn;
    uint32_t const variable = tf_loops_find(loop, loop->lines[loop->line_count - 1].from);
    struct tf_loop_step left, right;
    if (variable == TF_LOOP_VARIABLES_MAX)
        return false;
    const struct tf_loop_value *const value = &loop->values[variable];
    if (value->condition >= 0)
        *turn = loop->conditions[value->condition];
    else if (value->is_known)
        *turn = (struct tf_loop_condition){.relation = TF_LOOP_UNEQUAL, .left = *value, .right = constant_of(0)};
    else
        return false;
    if (turn->relation == TF_LOOP_EQUAL)
        return false;
    if (turn->relation == TF_LOOP_UNEQUAL) { /* a difference that comes to 0 */
        turn->left = tf_loops_add(&turn->left, &turn->right, UINT32_MAX);
        turn->right = constant_of(0);
    }
    unfold_carry(turn);
    if (!step_of(loop, &turn->left, &left) || !step_of(loop, &turn->right, &right))
        return false;
    if (is_zero(&left)) {
        struct tf_loop_value const swap = turn->left;
        turn->left = turn->right;
        turn->right = swap;
        turn->relation = mirrored[turn->relation];
        left = right;
        right = (struct tf_loop_step){0};
    }
    loop->step = left;
    if (is_zero(&left) || !is_zero(&right))
        return false;
    if (turn->relation == TF_LOOP_UNEQUAL)
        return true;
    /* Otherwise the sides run apart, and it ends by wrapping or never. A variable step is an unsigned number. */
    return (turn->relation == TF_LOOP_BELOW || turn->relation == TF_LOOP_UPTO) ==
           (left.is_variable || left.constant > 0);
}

static bool has_same_terms(const struct tf_loop_value *a, const struct tf_loop_value *b)
{
    if (a->term_count != b->term_count)
        return false;
    for (uint32_t i = 0; i < a->term_count; i++)
        if (a->terms[i].variable != b->terms[i].variable || a->terms[i].factor != b->terms[i].factor)
            return false;
    return true;
}

static void join_group(struct tf_loop *loop, struct tf_loop_access *access, const struct tf_loop_step *step)
{
    uint32_t i = 0;
    while (i < loop->group_count && !has_same_terms(&loop->groups[i].start, &access->address))
        i++;
    if (i == TF_LOOP_GROUPS_MAX)
        return;
    struct tf_loop_group *const group = &loop->groups[i];
    if (i == loop->group_count) {
        *group = (struct tf_loop_group){.start = access->address, .step = *step};
        loop->group_count++;
    }
    /* Near ones, in whichever direction; a start that is far off only makes the check fail. */
    if ((int32_t)access->address.constant < (int32_t)group->start.constant)
        group->start.constant = access->address.constant;
    access->group = (int8_t)i;
}

static void note_store(struct tf_loop_group *group, const struct tf_loop_line *line, uint32_t above)
{
    uint32_t const at = above + line->offset;
    group->is_stored |= line->is_store;
    if (!line->is_store || line->bytes != 8)
        return;
    if (group->stored == 0 || at < group->first_stored)
        group->first_stored = at;
    group->stored += 8;
}

static void make_groups(struct tf_loop *loop)
{
    for (uint32_t i = 0; i < loop->access_count; i++) {
        struct tf_loop_step step;
        if (step_of(loop, &loop->accesses[i].address, &step) && !is_zero(&step))
            join_group(loop, &loop->accesses[i], &step);
    }
    for (uint32_t i = 0; i < loop->access_count; i++) {
        struct tf_loop_access *const access = &loop->accesses[i];
        if (access->group < 0)
            continue;
        struct tf_loop_group *const group = &loop->groups[access->group];
        access->above = access->address.constant - group->start.constant;
        if (access->above > group->above_max)
            group->above_max = access->above;
        note_store(group, &loop->lines[access->line], access->above);
    }
}

static bool is_divided_by_turn(const struct tf_loop *loop)
{
    struct tf_loop_step step;
    for (uint32_t i = 0; i < loop->divisor_count; i++)
        if (step_of(loop, &loop->divisors[i], &step) && !step.is_variable && step.constant != 0)
            return true;
    return false;
}

bool tf_loops_analyse(struct tf_loop *loop)
{
    if (!tf_loops_run(loop))
        return false;
    follow_products(loop);
    if (!find_turn(loop))
        return false;
    make_groups(loop);
    loop->is_divided_by_turn = is_divided_by_turn(loop);
    loop->has_saturation = false;
    for (uint32_t i = 0; i < loop->line_count; i++)
        loop->has_saturation |= loop->lines[i].floating.kind != 0;
    return loop->group_count > 0;
}
