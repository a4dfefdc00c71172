#include "compiler/text_audit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compiler/text_words.h"

#define BRACKETS_MAX 65536u
#define TOKEN_BYTES_MAX 96u

struct audit {
    const uint8_t *at, *end, *begin;
    enum tf_text_kind kind;
    bool is_versioned;
    uint32_t depth;
    uint8_t *brackets; /* the open ones */
    struct tf_error *error;
};

static const char *const source_lines[] = {"#if WASM_RT_USE_SEGUE", "#endif"};
/* The name in it is checked against the patterns. */
static const char *const header_lines[] = {"#ifndef wasm_multi_@", "#define wasm_multi_@ wasm_multi_@",
                                           "#endif  /* wasm_multi_@ */"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool matches(const char *pattern, const uint8_t *at, const uint8_t *end)
{
    for (; *pattern != 0; pattern++) {
        const uint8_t *const start = at;
        if (*pattern == '$') {
            while (at < end && is_digit(*at))
                at++;
            /* No second spelling of a number, and none that wraps. */
            if (at == start || at - start > 10 || (*start == '0' && at - start > 1))
                return false;
        } else if (*pattern == '@') {
            while (at < end && memchr("ijfdreo", *at, 7) != NULL)
                at++;
            if (at == start)
                return false;
        } else {
            if (at == end || *at != (uint8_t)*pattern)
                return false;
            at++;
        }
    }
    return at == end;
}

static int compare_word(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool is_known_word(const char *const *words, size_t count, const char *word)
{
    return bsearch(word, words, count, sizeof(words[0]), compare_word) != NULL;
}

static bool is_known_identifier(const struct audit *audit, const uint8_t *at, const uint8_t *end)
{
    char word[TOKEN_BYTES_MAX];
    size_t const length = (size_t)(end - at);
    if (length >= sizeof(word))
        return matches("wasm_multi_@", at, end);
    memcpy(word, at, length);
    word[length] = 0;
    if (is_known_word(tf_text_words, tf_text_word_count, word))
        return true;
    if (audit->is_versioned && is_known_word(tf_text_loop_words, tf_text_loop_word_count, word))
        return true;
    for (size_t i = 0; i < COUNT(tf_text_loop_patterns) && audit->is_versioned; i++)
        if (matches(tf_text_loop_patterns[i], at, end))
            return true;
    for (size_t i = 0; i < tf_text_pattern_count; i++)
        if (matches(tf_text_patterns[i], at, end))
            return true;
    return false;
}

static int refuse(const struct audit *audit, const uint8_t *at, const char *what)
{
    char token[40];
    size_t length = 0, line = 1;
    for (const uint8_t *p = audit->begin; p < at; p++)
        line += *p == '\n';
    while (length < sizeof(token) - 1 && at + length < audit->end && at[length] != '\n') {
        token[length] = at[length] >= 0x20 && at[length] < 0x7f ? (char)at[length] : '?';
        length++;
    }
    token[length] = 0;
    static const char *const names[] = {[TF_TEXT_HEADER] = "header", [TF_TEXT_SOURCE] = "source",
                                        [TF_TEXT_SHARED] = "shared header", [TF_TEXT_PART] = "part"};
    return tf_error_set(audit->error, TF_ERR_AUDIT, "generated C, %s, line %zu: %s: %s", names[audit->kind], line, what,
                        token);
}

static bool line_matches(const char *const *lines, size_t count, const uint8_t *at, const uint8_t *end)
{
    for (size_t i = 0; i < count; i++)
        if (matches(lines[i], at, end))
            return true;
    return false;
}

static int audit_directive(struct audit *audit)
{
    const uint8_t *const start = audit->at;
    const uint8_t *const newline = memchr(start, '\n', (size_t)(audit->end - start));
    const uint8_t *const end = newline != NULL ? newline : audit->end;
    bool const is_known = audit->kind == TF_TEXT_HEADER ? line_matches(header_lines, COUNT(header_lines), start, end)
                                                        : line_matches(source_lines, COUNT(source_lines), start, end);
    if ((start > audit->begin && start[-1] != '\n') || !is_known)
        return refuse(audit, start, "unknown directive");
    audit->at = end;
    return 0;
}

/* Comments hold import and export names (ours), and the payload of a NaN. */
static int audit_comment(struct audit *audit)
{
    const uint8_t *const start = audit->at;
    const uint8_t *p = start + 2;
    for (; p + 1 < audit->end; p++) {
        if (p[0] == '*' && p[1] == '/') {
            audit->at = p + 2;
            return 0;
        }
        if (!is_letter(*p) && !is_digit(*p) && memchr(" ':-", *p, 4) == NULL)
            break;
    }
    return refuse(audit, start, "unknown comment");
}

static int audit_number(struct audit *audit)
{
    const uint8_t *const start = audit->at;
    const uint8_t *p = start;
    while (p < audit->end && (is_digit(*p) || is_letter(*p) || *p == '.' ||
                              ((*p == '+' || *p == '-') && memchr("eEpP", p[-1], 4) != NULL && start[1] != 'x')))
        p++;
    for (const uint8_t *q = start; q < p; q++)
        if (memchr("0123456789abcdefABCDEFxuUlLpP.+-", *q, 32) == NULL)
            return refuse(audit, start, "unknown number");
    if (p - start >= (ptrdiff_t)TOKEN_BYTES_MAX)
        return refuse(audit, start, "unknown number");
    audit->at = p;
    return 0;
}

/* Where a function type's hash is declared or defined, and in which text. */
static const struct func_type {
    const char *word;
    bool is_definition;
    enum tf_text_kind kind;
} func_types[] = {
    {"FUNC_TYPE_T", true, TF_TEXT_SOURCE},
    {"FUNC_TYPE_EXTERN_T", true, TF_TEXT_PART},
    {"FUNC_TYPE_DECL_EXTERN_T", false, TF_TEXT_SHARED},
};

static const struct func_type *find_func_type(const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < COUNT(func_types) && *at == 'F'; i++)
        if (strlen(func_types[i].word) == length && memcmp(func_types[i].word, at, length) == 0)
            return &func_types[i];
    return NULL;
}

/* FUNC_TYPE_T(w2c_m_t$) = "\x.." of 32 bytes: the only place a string may stand. */
static int audit_func_type(struct audit *audit, const struct func_type *type)
{
    const uint8_t *const start = audit->at;
    const uint8_t *p = start + strlen(type->word);
    if (audit->kind != type->kind)
        return refuse(audit, start, "declaration of another text");
    const uint8_t *const close = memchr(p, ')', (size_t)(audit->end - p));
    if (close == NULL || *p != '(' || !matches("w2c_m_t$", p + 1, close))
        return refuse(audit, start, "unknown declaration");
    p = close;
    if (!type->is_definition) {
        audit->at = p + 1;
        return 0;
    }
    if (audit->end - p < 5 + 32 * 4 + 2 || memcmp(p, ") = \"", 5) != 0)
        return refuse(audit, start, "unknown declaration");
    p += 5;
    for (size_t i = 0; i < 32; i++, p += 4)
        if (p[0] != '\\' || p[1] != 'x' || !is_hex(p[2]) || !is_hex(p[3]))
            return refuse(audit, start, "unknown declaration");
    if (p[0] != '"' || p[1] != ';')
        return refuse(audit, start, "unknown declaration");
    audit->at = p + 2;
    return 0;
}

static int audit_identifier(struct audit *audit)
{
    static const char instance_type[] = "typedef struct w2c_m {";
    const uint8_t *const start = audit->at;
    const uint8_t *p = start;
    while (p < audit->end && (is_letter(*p) || is_digit(*p)))
        p++;
    size_t const length = (size_t)(p - start);
    if (!is_known_identifier(audit, start, p))
        return refuse(audit, start, "unknown identifier");
    const struct func_type *const type = find_func_type(start, length);
    if (type != NULL)
        return audit_func_type(audit, type);
    if (length == 6 && memcmp(start, "extern", 6) == 0 && audit->kind != TF_TEXT_SHARED)
        return refuse(audit, start, "unknown declaration");
    if (length == 7 && memcmp(start, "typedef", 7) == 0 &&
        (audit->kind != TF_TEXT_HEADER || (size_t)(audit->end - start) < sizeof(instance_type) ||
         memcmp(start, instance_type, sizeof(instance_type) - 1) != 0))
        return refuse(audit, start, "unknown type definition");
    audit->at = p;
    return 0;
}

static int audit_bracket(struct audit *audit, uint8_t c)
{
    if (c == '(' || c == '[' || c == '{') {
        if (audit->depth == BRACKETS_MAX)
            return refuse(audit, audit->at, "brackets nest too deep");
        audit->brackets[audit->depth++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (audit->depth == 0 || audit->brackets[--audit->depth] != c) {
        return refuse(audit, audit->at, "unbalanced bracket");
    }
    audit->at++;
    return 0;
}

static int audit_punctuation(struct audit *audit)
{
    /* Two characters that mean something else together: digraphs, trigraphs, and the other comment. */
    static const char *const pairs[] = {"<:", ":>", "<%", "%>", "%:", "??", "//"};
    uint8_t const c = *audit->at;
    for (size_t i = 0; i < COUNT(pairs); i++)
        if (audit->end - audit->at >= 2 && memcmp(audit->at, pairs[i], 2) == 0)
            return refuse(audit, audit->at, "unknown punctuation");
    if (memchr("()[]{}", c, 6) != NULL)
        return audit_bracket(audit, c);
    if (memchr(";,.*&=+-/%<>!~^|?:", c, 18) == NULL)
        return refuse(audit, audit->at, "unknown character");
    audit->at++;
    return 0;
}

static int audit_token(struct audit *audit)
{
    uint8_t const c = *audit->at;
    if (c == ' ' || c == '\n') {
        audit->at++;
        return 0;
    }
    if (is_letter(c))
        return audit_identifier(audit);
    if (is_digit(c))
        return audit_number(audit);
    if (c == '#')
        return audit_directive(audit);
    if (c == '/' && audit->end - audit->at >= 2 && audit->at[1] == '*')
        return audit_comment(audit);
    return audit_punctuation(audit);
}

static int run(struct audit *audit)
{
    int code = 0;
    audit->brackets = malloc(BRACKETS_MAX);
    if (audit->brackets == NULL)
        return tf_error_system(audit->error, "auditing generated C");
    while (code == 0 && audit->at < audit->end)
        code = audit_token(audit);
    if (code == 0 && audit->depth != 0)
        code = refuse(audit, audit->end, "unbalanced brackets at the end");
    free(audit->brackets);
    return code;
}

int tf_text_audit(enum tf_text_kind kind, const uint8_t *text, size_t length, struct tf_error *error)
{
    struct audit audit = {.at = text, .end = text + length, .begin = text, .kind = kind, .error = error};
    return run(&audit);
}

int tf_text_audit_versioned(enum tf_text_kind kind, const uint8_t *text, size_t length, struct tf_error *error)
{
    struct audit audit = {
        .at = text, .end = text + length, .begin = text, .kind = kind, .is_versioned = true, .error = error};
    return run(&audit);
}
