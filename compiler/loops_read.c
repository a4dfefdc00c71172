/* One line of generated C as a statement, by comparison with the shapes that wasm2c writes. */
#include <string.h>

#include "compiler/loops_internal.h"

struct found {
    struct tf_loop_name names[3];
    uint32_t numbers[2];
};

static bool is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Decimal, below 2^32. NULL: none. */
static const uint8_t *read_number(const uint8_t *at, const uint8_t *end, uint32_t *ret_number)
{
    uint64_t number = 0;
    if (!is_digit(at, end))
        return NULL;
    for (; is_digit(at, end); at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > UINT32_MAX)
            return NULL;
    }
    *ret_number = (uint32_t)number;
    return at;
}

/* A variable of generated C: var_i0. NULL: none. */
static const uint8_t *read_name(const uint8_t *at, const uint8_t *end, struct tf_loop_name *ret_name)
{
    if (end - at < 6 || memcmp(at, "var_", 4) != 0 || memchr("ijfdolpre", at[4], 9) == NULL)
        return NULL;
    ret_name->kind = at[4];
    return read_number(at + 5, end, &ret_name->number);
}

/* Up to where `shape` reaches: '@' is a variable, '#' a number, all else itself. NULL: the text is otherwise. */
static const uint8_t *match_begin(const char *shape, const uint8_t *at, const uint8_t *end, struct found *found)
{
    size_t names = 0, numbers = 0;
    for (; *shape != 0 && at != NULL; shape++) {
        if (*shape == '@')
            at = read_name(at, end, &found->names[names++]);
        else if (*shape == '#')
            at = read_number(at, end, &found->numbers[numbers++]);
        else
            at = at < end && *at == (uint8_t)*shape ? at + 1 : NULL;
    }
    return at;
}

static bool match(const char *shape, const uint8_t *at, const uint8_t *end, struct found *found)
{
    return match_begin(shape, at, end, found) == end;
}

static bool is_same(struct tf_loop_name a, struct tf_loop_name b)
{
    return a.kind == b.kind && a.number == b.number;
}

static bool contains(const char *word, const uint8_t *at, const uint8_t *end)
{
    return memmem(at, (size_t)(end - at), word, strlen(word)) != NULL;
}

/* The operations of wasm2c that have two operands write them as `to = to … from`. */
static bool read_compare(const uint8_t *at, const uint8_t *end, struct tf_loop_line *line)
{
    static const struct {
        const char *shape;
        enum tf_loop_relation relation;
        bool is_signed;
    } shapes[] = {
        {"@ = @ == @;", TF_LOOP_EQUAL, false},
        {"@ = @ != @;", TF_LOOP_UNEQUAL, false},
        {"@ = @ < @;", TF_LOOP_BELOW, false},
        {"@ = @ <= @;", TF_LOOP_UPTO, false},
        {"@ = @ > @;", TF_LOOP_ABOVE, false},
        {"@ = @ >= @;", TF_LOOP_FROM, false},
        {"@ = (u32)((s32)@ < (s32)@);", TF_LOOP_BELOW, true},
        {"@ = (u32)((s32)@ <= (s32)@);", TF_LOOP_UPTO, true},
        {"@ = (u32)((s32)@ > (s32)@);", TF_LOOP_ABOVE, true},
        {"@ = (u32)((s32)@ >= (s32)@);", TF_LOOP_FROM, true},
    };
    struct found found;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (!match(shapes[i].shape, at, end, &found) || found.names[1].kind != 'i' || found.names[2].kind != 'i' ||
            !is_same(found.names[0], found.names[1]))
            continue;
        line->form = TF_LOOP_COMPARE;
        line->relation = shapes[i].relation;
        line->is_signed = shapes[i].is_signed;
        line->to = found.names[0];
        line->from = found.names[2];
        return true;
    }
    return false;
}

static bool read_arithmetic(const uint8_t *at, const uint8_t *end, struct tf_loop_line *line)
{
    static const struct {
        const char *shape;
        enum tf_loop_form form;
    } shapes[] = {
        {"@ = #u;", TF_LOOP_CONSTANT},    {"@ = @;", TF_LOOP_COPY},      {"@ += @;", TF_LOOP_ADD},
        {"@ -= @;", TF_LOOP_SUBTRACT},    {"@ *= @;", TF_LOOP_MULTIPLY}, {"@ <<= (@ & 31);", TF_LOOP_SHIFT},
        {"@ = !(@);", TF_LOOP_NOT},
    };
    struct found found;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (!match(shapes[i].shape, at, end, &found))
            continue;
        bool const is_unary = shapes[i].form == TF_LOOP_CONSTANT;
        bool const is_copy = shapes[i].form == TF_LOOP_COPY;
        /* A local's letter does not tell its type; what is copied from or to a variable of the stack is of its. */
        if (found.names[0].kind != 'i' && !(is_copy && found.names[1].kind == 'i'))
            return false;
        if (!is_unary && !is_copy && found.names[1].kind != 'i')
            return false;
        if (shapes[i].form == TF_LOOP_NOT && !is_same(found.names[0], found.names[1]))
            return false;
        line->form = shapes[i].form;
        line->to = found.names[0];
        if (is_unary)
            line->number = found.numbers[0];
        else
            line->from = found.names[1];
        return true;
    }
    return false;
}

/* Bits / 8 of what a load or store called so reaches, and the C type of its value. 0: it is a vector's. */
static uint8_t read_cell(const uint8_t *at, const uint8_t *end, const char **ret_type)
{
    static const char *const shapes[] = {"i#_load",  "f#_load",  "i#_load#_s", "i#_load#_u",
                                         "i#_store", "f#_store", "i#_store#"};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct found found = {0};
        if (!match(shapes[i], at, end, &found))
            continue;
        uint32_t const bits = found.numbers[1] != 0 ? found.numbers[1] : found.numbers[0];
        bool const is_wide = found.numbers[0] == 64;
        *ret_type = *at == 'i' ? (is_wide ? "u64" : "u32") : (is_wide ? "f64" : "f32");
        return bits == 8 || bits == 16 || bits == 32 || bits == 64 ? (uint8_t)(bits / 8) : 0;
    }
    return 0;
}

/* Where the line accesses memory: `…(&instance->w2c_M0, (u64)(var_i0)…`. */
static void read_access(const uint8_t *at, const uint8_t *end, struct tf_loop_line *line)
{
    static const char before[] = "(&instance->w2c_M0, ";
    struct found found;
    const char *type = NULL;
    const uint8_t *const call = memmem(at, (size_t)(end - at), before, sizeof(before) - 1);
    if (call == NULL)
        return;
    const uint8_t *const begin = call + sizeof(before) - 1;
    const uint8_t *const behind = match_begin("(u64)(@)", begin, end, &found);
    if (behind == NULL || found.names[0].kind != 'i')
        return;
    line->address_begin = begin;
    line->address_end = behind;
    line->address = found.names[0];
    /* Stores have theirs without the letter. */
    line->offset = match_begin(" + #", behind, end, &found) != NULL ? found.numbers[0] : 0;
    const uint8_t *const load = match_begin("@ = ", at, end, &found);
    line->bytes = read_cell(load != NULL ? load : at, call, &type);
    if (load != NULL && line->bytes != 0 &&
        (match(");", behind, end, &found) || match(" + #u);", behind, end, &found))) {
        line->cell = type;
        line->load_begin = load;
    }
}

/* What the line divides by, where it assigns a quotient or a remainder. */
static void read_divisor(const uint8_t *at, const uint8_t *end, struct tf_loop_line *line)
{
    static const char *const shapes[] = {
        "@ = I32_DIV_S(@, @);", "@ = I32_REM_S(@, @);", "@ = DIV_U(@, @);", "@ = REM_U(@, @);",
    };
    struct found found;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (match(shapes[i], at, end, &found) && found.names[2].kind == 'i')
            line->divisor = found.names[2];
}

/* What the line converts, where it assigns a saturating conversion of the most frequent kind. */
static void read_saturation(const uint8_t *at, const uint8_t *end, struct tf_loop_line *line)
{
    struct found found;
    uint8_t kind = 0;
    if (match("@ = I32_TRUNC_SAT_S_F32(@);", at, end, &found))
        kind = 'f';
    else if (match("@ = I32_TRUNC_SAT_S_F64(@);", at, end, &found))
        kind = 'd';
    if (kind != 0 && found.names[0].kind == 'i' && found.names[1].kind == kind)
        line->floating = found.names[1];
}

/* What calls a function gains nothing; what has a brace, a jump or a second assignment is none of the shapes known. */
static bool is_plain(const uint8_t *at, const uint8_t *end)
{
    static const char *const others[] = {"{", "}", "goto ", "return", "w2c_m_", "w2c_h_", "CALL_INDIRECT", "wasm_rt_"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (contains(others[i], at, end))
            return false;
    return memchr(at, ';', (size_t)(end - at)) == end - 1;
}

void tf_loops_read_line(const uint8_t *begin, const uint8_t *end, struct tf_loop_line *line)
{
    struct found found;
    const uint8_t *at = begin;
    *line = (struct tf_loop_line){.begin = begin, .end = end};
    while (end > at && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    while (at < end && *at == ' ')
        at++;
    if (match("var_L#:", at, end, &found)) {
        line->form = TF_LOOP_HEAD;
        line->number = found.numbers[0];
    } else if (match("if (@) {goto var_L#;}", at, end, &found) && found.names[0].kind == 'i') {
        line->form = TF_LOOP_BRANCH;
        line->from = found.names[0];
        line->number = found.numbers[0];
    } else if (end > at && is_plain(at, end) && !read_arithmetic(at, end, line) && !read_compare(at, end, line)) {
        const uint8_t *const behind = read_name(at, end, &line->to);
        line->is_store = behind == NULL && contains("_store", at, end);
        if (behind != NULL)
            line->form = TF_LOOP_OPAQUE; /* a statement that begins with a variable assigns to it, and to no other */
        else if (line->is_store || match("instance->w2c_g# = @;", at, end, &found))
            line->form = TF_LOOP_EFFECT;
        if (line->form != TF_LOOP_OTHER)
            read_access(at, end, line);
        if (line->form == TF_LOOP_OPAQUE) {
            read_divisor(at, end, line);
            read_saturation(at, end, line);
        }
    }
}
