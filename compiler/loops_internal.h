/*
 * Shared by loops*.c alone: a loop as lines, what is known of its variables, and what is to be written.
 */
#ifndef TF_COMPILER_LOOPS_INTERNAL_H
#define TF_COMPILER_LOOPS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* A loop beyond one of these stays as it is. */
#define TF_LOOP_LINES_MAX 768u
#define TF_LOOP_VARIABLES_MAX 64u
#define TF_LOOP_TERMS_MAX 4u
#define TF_LOOP_ACCESSES_MAX 128u
#define TF_LOOP_GROUPS_MAX 12u
#define TF_LOOP_CONDITIONS_MAX 16u
#define TF_LOOP_DIVISORS_MAX 16u
#define TF_LOOP_PRODUCTS_MAX 4u
#define TF_LOOP_STEP_MAX (1 << 20)
/* Nor is a loop around one that is beyond these written anew. */
#define TF_LOOP_NEST_LINES_MAX 512u
#define TF_LOOP_NEST_TURNS_MAX 16u
#define TF_LOOP_NEST_COPIED_BYTES_MAX 512u
#define TF_LOOP_NEST_FUNCTION_MAX 4u
/* A C compiler's time for a function of very many loops is not linear, and second versions are to be no way to spend
 * it: what comes behind so many stays as it is. */
#define TF_LOOP_FUNCTION_MAX 64u
#define TF_LOOP_TEXT_MAX 4096u

/* ---- lines ---- */

struct tf_loop_name {
    uint8_t kind; /* 'i', 'l', …: the letter of var_i0; '*': a product of the loop */
    uint32_t number;
};

enum tf_loop_relation { TF_LOOP_EQUAL, TF_LOOP_UNEQUAL, TF_LOOP_BELOW, TF_LOOP_UPTO, TF_LOOP_ABOVE, TF_LOOP_FROM };

enum tf_loop_form {
    TF_LOOP_OTHER,    /* ends a run of statements */
    TF_LOOP_HEAD,     /* var_L<number>: */
    TF_LOOP_BRANCH,   /* if (from) {goto var_L<number>;} */
    TF_LOOP_EFFECT,   /* changes no variable */
    TF_LOOP_OPAQUE,   /* to = anything */
    TF_LOOP_CONSTANT, /* to = number */
    TF_LOOP_COPY,     /* to = from */
    TF_LOOP_ADD,      /* to += from, and so on */
    TF_LOOP_SUBTRACT,
    TF_LOOP_MULTIPLY,
    TF_LOOP_SHIFT,
    TF_LOOP_NOT,     /* to = !(to) */
    TF_LOOP_COMPARE, /* to = to relation from */
};

struct tf_loop_line {
    const uint8_t *begin, *end; /* with the newline */
    enum tf_loop_form form;
    struct tf_loop_name to, from;
    uint32_t number;
    enum tf_loop_relation relation;
    bool is_signed;
    /* Of an access to linear memory, with EFFECT and OPAQUE: where its dynamic address is in the text, and what. */
    const uint8_t *address_begin, *address_end;
    struct tf_loop_name address;
    uint32_t offset; /* the constant that the access adds to its address */
    bool is_store; /* to linear memory, with EFFECT */
    uint8_t bytes; /* it loads or stores; 0: vectors, or no access */
    const char *cell; /* C type of what it loads, if it does nothing else; else NULL */
    const uint8_t *load_begin; /* and where the load is in the text */
    struct tf_loop_name divisor; /* of a division or remainder, with OPAQUE; kind 0: it is none */
    struct tf_loop_name floating; /* what it saturates to 32 bits, signed, with OPAQUE; kind 0: it does not */
};

/* Fills `line` but for its `end`, from `begin` up to `end`. */
void tf_loops_read_line(const uint8_t *begin, const uint8_t *end, struct tf_loop_line *line);

/* ---- what is known of values, as sums modulo 2^32 of what variables were at the head of the same turn ---- */

struct tf_loop_value {
    bool is_known;
    int8_t condition; /* which it is the truth of, -1: none */
    uint8_t term_count;
    uint32_t constant;
    struct tf_loop_term {
        uint8_t variable;
        uint32_t factor;
    } terms[TF_LOOP_TERMS_MAX]; /* ascending by variable, no factor 0 */
};

/* Counts as a variable, which is what it would be at the head. Neither side has a product in it. */
struct tf_loop_product {
    uint8_t variable;
    struct tf_loop_value left, right;
};

struct tf_loop_condition {
    enum tf_loop_relation relation;
    bool is_signed;
    struct tf_loop_value left, right;
};

/* What is added in each turn: a constant, or a sum of variables that the loop does not change. */
struct tf_loop_step {
    int32_t constant;
    bool is_variable; /* `value` counts, as an unsigned number */
    struct tf_loop_value value;
};

/* Addresses that differ by constants. That of an access in turn k is start + above + k * step. */
struct tf_loop_group {
    struct tf_loop_value start; /* the least of them */
    struct tf_loop_step step;
    uint32_t above_max;
    uint32_t stored; /* bytes in each turn, by stores of 64 bits */
    uint32_t first_stored; /* the least of above + offset of its stores, modulo 2^32 */
    bool is_stored;
    bool is_copied; /* of a nest: by loads alone, which are the same in each turn of the outer loop */
    uint64_t begin, end; /* of a nest: what its accesses of one turn reach, from the group's address on, in bytes */
};

struct tf_loop_access {
    uint32_t line;
    struct tf_loop_value address;
    int8_t group; /* -1: stays as it is */
    uint32_t above;
    bool is_copied; /* of a nest: read from a copy */
};

struct tf_loop {
    struct tf_loop_line lines[TF_LOOP_LINES_MAX]; /* behind the head, the branch included */
    uint32_t line_count;
    uint32_t label;
    const uint8_t *begin; /* of the head */

    struct tf_loop_name names[TF_LOOP_VARIABLES_MAX];
    struct tf_loop_value values[TF_LOOP_VARIABLES_MAX];
    uint32_t variable_count;
    struct tf_loop_product products[TF_LOOP_PRODUCTS_MAX];
    uint32_t product_count;
    struct tf_loop_condition conditions[TF_LOOP_CONDITIONS_MAX];
    uint32_t condition_count;
    struct tf_loop_access accesses[TF_LOOP_ACCESSES_MAX];
    uint32_t access_count;
    struct tf_loop_group groups[TF_LOOP_GROUPS_MAX];
    uint32_t group_count;
    struct tf_loop_value divisors[TF_LOOP_DIVISORS_MAX]; /* not constant; what comes behind so many is not noted */
    uint32_t divisor_count;
    bool is_divided_by_turn; /* a divisor is another one in each turn, by a constant */
    bool has_saturation;
    struct tf_loop_condition turn; /* it turns again while that holds */
    struct tf_loop_step step;      /* of its left side; the right one stays */
};

/* A loop around one: lines, the inner loop, lines, the branch back. */
struct tf_loop_nest {
    struct tf_loop head; /* label and begin are the outer loop's, the lines those before the inner loop */
    struct tf_loop inner;
    struct tf_loop tail; /* the lines behind it, the branch included */
    uint32_t turns;      /* of the inner loop after its first */
};

/* Finds out what the lines do. False: the loop is not one of those meant. */
bool tf_loops_analyse(struct tf_loop *loop);
/* The same for a nest whose inner loop is analysed. False: copies gain nothing, or are not known to stay right. */
bool tf_loops_analyse_nest(struct tf_loop_nest *nest);

/* Of the analysis of a loop, for that of nests: fills `values` with what the lines make of variables; the variable's
 * number (TF_LOOP_VARIABLES_MAX: there are too many); a + factor * b. */
bool tf_loops_run(struct tf_loop *loop);
uint32_t tf_loops_find(struct tf_loop *loop, struct tf_loop_name name);
struct tf_loop_value tf_loops_add(const struct tf_loop_value *a, const struct tf_loop_value *b, uint32_t factor);

/* Appends both versions and the check. */
void tf_loops_write(const struct tf_loop *loop, struct tf_buffer *text);
void tf_loops_write_nest(const struct tf_loop_nest *nest, struct tf_buffer *text);

/* Of the writing of a loop, for that of nests. `type` stands before each name that is assigned. */
void tf_loops_write_starts(const struct tf_loop *loop, const char *type, struct tf_buffer *text);
void tf_loops_write_checks(const struct tf_loop *loop, struct tf_buffer *text); /* all begin by `&` */
void tf_loops_write_zero(const struct tf_loop *loop, struct tf_buffer *text);   /* what saturating conversions need */
void tf_loops_write_body(const struct tf_loop *loop, bool is_from_copies, struct tf_buffer *text);
/* The line of an access as it was, from `begin` on, but for the address. */
void tf_loops_write_access(const struct tf_loop *loop, const struct tf_loop_access *access, const uint8_t *begin,
                           struct tf_buffer *text);
void tf_loops_write_versions(const struct tf_loop *loop, struct tf_buffer *text);

#endif
