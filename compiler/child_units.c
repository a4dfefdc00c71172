/*
 * Translation units. Each is the shim's text, the prelude and a part of what wasm2c wrote, audited. A module that is
 * not split is one unit in which every function is static; the parts of a split one share their functions, hidden from
 * everybody else.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "compiler/child.h"
#include "compiler/loops.h"
#include "compiler/stock.h"
#include "compiler/text_audit.h"

#define DECLARATIONS_BYTES_MAX (64u << 20)

struct units {
    struct tf_child *child;
    const struct tf_child_shim *shim;
    const struct tf_job_plan *plan;
    struct tf_buffer shared;       /* split: m-impl.h */
    size_t shared_begin;           /* behind its stock prelude */
    struct tf_buffer declarations; /* of data that is no C */
};

/* ---- reading what wasm2c wrote; once read, a file is gone: the working folder is memory ---- */

static int read_away(const struct tf_child *child, const char *name, struct tf_buffer *text, struct tf_error *error)
{
    int const code = tf_child_read(child, name, text, error);
    unlink(name);
    return code;
}

static int check_header(struct tf_child *child)
{
    struct tf_buffer header = {0};
    size_t begin, end;
    int code = tf_child_read(child, "m.h", &header, &child->error);
    if (code == 0)
        code = tf_stock_header_middle(header.bytes, header.length, &begin, &end, &child->error);
    if (code == 0)
        code = tf_text_audit(TF_TEXT_HEADER, header.bytes + begin, end - begin, &child->error);
    tf_buffer_dispose(&header);
    return code;
}

static int read_shared(struct units *units)
{
    struct tf_error *const error = &units->child->error;
    int code = read_away(units->child, "m-impl.h", &units->shared, error);
    if (code == 0)
        code = tf_stock_source_prelude(units->shared.bytes, units->shared.length, &units->shared_begin, error);
    if (code == 0)
        code = tf_text_audit(TF_TEXT_SHARED, units->shared.bytes + units->shared_begin,
                             units->shared.length - units->shared_begin, error);
    return code;
}

/* Reads and audits one part (or the whole source), without its head and its large data. */
static int read_part(struct units *units, uint32_t part, struct tf_buffer *text, size_t *ret_begin, bool *ret_has_data)
{
    struct tf_error *const error = &units->child->error;
    bool const is_split = units->plan->parts > 1;
    char name[32] = "m.c";
    if (is_split)
        snprintf(name, sizeof(name), "m_%" PRIu32 ".c", part);
    int code = read_away(units->child, name, text, error);
    if (code == 0)
        code = is_split ? tf_stock_part_head(text->bytes, text->length, ret_begin, error)
                        : tf_stock_source_prelude(text->bytes, text->length, ret_begin, error);
    /* All data is in the first part. */
    if (code == 0 && part == 0)
        code = tf_child_take_data(text, &units->declarations, ret_has_data, error);
    if (code == 0)
        code = tf_text_audit(is_split ? TF_TEXT_PART : TF_TEXT_SOURCE, text->bytes + *ret_begin,
                             text->length - *ret_begin, error);
    return code;
}

/* Puts the text with its loops versioned, from its begin on, into its place. */
static int version_loops(const struct units *units, struct tf_buffer *text, size_t *begin)
{
    struct tf_error *const error = &units->child->error;
    struct tf_buffer versioned;
    tf_buffer_init(&versioned, units->child->job->limits.build_file_bytes);
    int code = tf_loops_version(text->bytes + *begin, text->length - *begin, &versioned, error);
    if (code == 0)
        code = tf_text_audit_versioned(units->plan->parts > 1 ? TF_TEXT_PART : TF_TEXT_SOURCE, versioned.bytes,
                                       versioned.length, error);
    tf_buffer_dispose(text);
    *text = versioned;
    *begin = 0;
    return code;
}

/* ---- writing ---- */

static int write_unit(const struct units *units, uint32_t part, const uint8_t *text, size_t length)
{
    static const char includes[] = "#include \"m.h\"\n#include \"arithmetic.h\"\n#include \"mem.h\"\n"
                                   "#include \"instance.h\"\n#include \"loops.h\"\n";
    static const char hidden[] = "#pragma GCC visibility push(hidden)\n";
    const struct tf_child_shim *const shim = units->shim;
    struct tf_error *const error = &units->child->error;
    bool const is_split = units->plan->parts > 1;
    char name[32], head[32];
    snprintf(name, sizeof(name), "unit_%" PRIu32 ".c", part);
    int const head_bytes = snprintf(head, sizeof(head), "#define TF_PART %" PRIu32 "\n", part);
    const struct {
        const void *bytes;
        size_t length;
    } texts[] = {{head, (size_t)head_bytes},
                 {hidden, is_split ? sizeof(hidden) - 1 : 0},
                 {shim->before.bytes, shim->before.length},
                 {includes, sizeof(includes) - 1},
                 {shim->between.bytes, shim->between.length},
                 {units->declarations.bytes, part == 0 ? units->declarations.length : 0},
                 {units->shared.bytes + units->shared_begin, units->shared.length - units->shared_begin},
                 {text, length},
                 {"\n", 1},
                 {shim->after.bytes, part == 0 ? shim->after.length : 0}};
    int const fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tf_error_system(error, "%s", name);
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].length != 0)
            code = tf_file_write_all(fd, texts[i].bytes, texts[i].length, error);
    close(fd);
    return code;
}

int tf_child_write_units(struct tf_child *child, const struct tf_child_shim *shim, const struct tf_job_plan *plan,
                         bool *ret_has_data)
{
    struct units units = {.child = child, .shim = shim, .plan = plan};
    int code = check_header(child);
    tf_buffer_init(&units.declarations, DECLARATIONS_BYTES_MAX);
    *ret_has_data = false;
    if (code == 0 && plan->parts > 1)
        code = read_shared(&units);
    for (uint32_t part = 0; part < plan->parts && code == 0; part++) {
        struct tf_buffer text = {0};
        size_t begin;
        code = read_part(&units, part, &text, &begin, ret_has_data);
        if (code == 0 && plan->tier == TF_TIER_OPTIMISED)
            code = version_loops(&units, &text, &begin);
        if (code == 0)
            code = write_unit(&units, part, text.bytes + begin, text.length - begin);
        tf_buffer_dispose(&text);
    }
    tf_buffer_dispose(&units.shared);
    tf_buffer_dispose(&units.declarations);
    return code;
}
