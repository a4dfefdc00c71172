#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "compiler/child.h"
#include "compiler/flags.h"
#include "compiler/stock.h"

#define OUTPUT_BYTES_MAX (1u << 20)
#define REMEDY ": run scripts/install-deps, which installs the supported version"

static const uint8_t module_head[] = {0, 'a', 's', 'm', 1, 0, 0, 0, /* type 0: () -> () */ 1, 4, 1, 0x60, 0, 0};
/* What a name would have to do to become C: end the comment that quotes it. */
static const char injection[] = "x */ __attribute__((constructor)) static void canary(void) {} /*";

/* ---- canaries: flaws of other versions of wasm2c ---- */

static int run_wasm2c(struct tf_child *child, const struct tf_buffer *module, const char *name,
                      struct tf_tool_end *ret_end)
{
    const char *const *arguments;
    struct tf_error *const error = &child->error;
    tf_child_wasm2c_arguments(name, 1, &arguments);
    if (module->failed)
        return tf_error_set(error, TF_ERR_LIMIT, "canary module");
    int const code = tf_child_write(name, module->bytes, module->length, error);
    return code != 0 ? code : tf_child_run(child, arguments, "canary.log", ret_end, error);
}

static void put_name(struct tf_buffer *module, const char *name)
{
    tf_buffer_append_byte(module, (uint8_t)strlen(name));
    tf_buffer_append_text(module, name);
}

static bool holds(const struct tf_child *child, const char *file, const char *text)
{
    struct tf_buffer bytes = {0};
    /* A file that cannot be read is treated as if it held anything. */
    bool const found = tf_child_read(child, file, &bytes, NULL) != 0 || bytes.bytes == NULL ||
                       memmem(bytes.bytes, bytes.length, text, strlen(text)) != NULL;
    tf_buffer_dispose(&bytes);
    return found;
}

static int check_names(struct tf_child *child)
{
    struct tf_buffer module;
    struct tf_tool_end end;
    tf_buffer_init(&module, OUTPUT_BYTES_MAX);
    tf_buffer_append(&module, module_head, sizeof(module_head));
    tf_buffer_append(&module, (const uint8_t[]){2, (uint8_t)(6 + sizeof(injection) - 1), 1}, 3);
    put_name(&module, "h");
    put_name(&module, injection);
    tf_buffer_append(&module, (const uint8_t[]){0, 0}, 2);
    tf_buffer_append(&module, (const uint8_t[]){7, (uint8_t)(4 + sizeof(injection) - 1), 1}, 3);
    put_name(&module, injection);
    tf_buffer_append(&module, (const uint8_t[]){0, 0}, 2);
    int const code = run_wasm2c(child, &module, "names.wasm", &end);
    tf_buffer_dispose(&module);
    if (code != 0)
        return code;
    if (!WIFEXITED(end.status) || WEXITSTATUS(end.status) != 0 || holds(child, "m.c", "x */") ||
        holds(child, "m.h", "x */"))
        return tf_error_set(&child->error, TF_ERR_TOOLCHAIN,
                            "wasm2c failed its check: it lets a name end a comment" REMEDY);
    return 0;
}

/* A module of one function with this body must be turned down. */
static int check_rejected(struct tf_child *child, const uint8_t *body, size_t body_bytes, const char *what)
{
    struct tf_buffer module;
    struct tf_tool_end end;
    tf_buffer_init(&module, OUTPUT_BYTES_MAX);
    tf_buffer_append(&module, module_head, sizeof(module_head));
    tf_buffer_append(&module, (const uint8_t[]){3, 2, 1, 0}, 4);
    tf_buffer_append(&module, (const uint8_t[]){10, (uint8_t)(body_bytes + 2), 1, (uint8_t)body_bytes}, 4);
    tf_buffer_append(&module, body, body_bytes);
    int const code = run_wasm2c(child, &module, "rejected.wasm", &end);
    tf_buffer_dispose(&module);
    if (code != 0)
        return code;
    if (!WIFEXITED(end.status) || WEXITSTATUS(end.status) == 0)
        return tf_error_set(&child->error, TF_ERR_TOOLCHAIN, "wasm2c failed its check: %s" REMEDY, what);
    return 0;
}

static int check_canaries(struct tf_child *child)
{
    static const uint8_t tail_call[] = {0, 0x12, 0, 0x0b};
    static const uint8_t locals[] = {1, 0x80, 0xd0, 0xac, 0xf3, 0x0e, 0x7f, 0x0b};
    int code = check_names(child);
    if (code == 0)
        code = check_rejected(child, tail_call, sizeof(tail_call), "it accepts a tail call");
    if (code == 0)
        code = check_rejected(child, locals, sizeof(locals), "it accepts four thousand million locals");
    return code;
}

/* ---- the tools' identity ---- */

/* The first line a tool prints, which must be short. */
static int first_line(struct tf_child *child, const char *const *arguments, char *line, size_t line_bytes)
{
    struct tf_error *const error = &child->error;
    struct tf_tool_end end;
    struct tf_buffer output;
    int code = tf_child_run(child, arguments, "identity.log", &end, error);
    if (code != 0)
        return code;
    tf_buffer_init(&output, OUTPUT_BYTES_MAX);
    code = tf_file_read(AT_FDCWD, "identity.log", &output, error);
    size_t length = 0;
    while (code == 0 && length < output.length && output.bytes[length] > 0x20 && output.bytes[length] < 0x7f)
        length++;
    if (code == 0 && (!WIFEXITED(end.status) || WEXITSTATUS(end.status) != 0 || length == 0 || length >= line_bytes))
        code = tf_error_set(error, TF_ERR_TOOLCHAIN, "%s does not work in the sandbox: %.200s", arguments[0],
                            output.bytes != NULL ? (const char *)output.bytes : "");
    if (code == 0) {
        memcpy(line, output.bytes, length);
        line[length] = 0;
    }
    tf_buffer_dispose(&output);
    return code;
}

static int hash_tool(struct tf_hash *hash, const char *path, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    uint64_t bytes;
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    int const code = fd >= 0 ? tf_hash_file(fd, digest, &bytes) : TF_ERR_SYSTEM;
    if (code != 0)
        tf_error_set(error, TF_ERR_TOOLCHAIN, "%s cannot be read in the sandbox", path);
    else
        tf_hash_field(hash, digest, sizeof(digest));
    if (fd >= 0)
        close(fd);
    return code != 0 ? TF_ERR_TOOLCHAIN : 0;
}

/* A part of gcc: a path, or a name that gcc itself would look up in PATH, which is /usr/bin here. */
static int hash_part(struct tf_child *child, struct tf_hash *hash, const char *cc, const char *part)
{
    char option[64], name[256], path[300];
    const char *const arguments[] = {cc, option, NULL};
    snprintf(option, sizeof(option), "-print-prog-name=%s", part);
    int const code = first_line(child, arguments, name, sizeof(name));
    if (code != 0)
        return code;
    snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : "/usr/bin/", name);
    return hash_tool(hash, path, &child->error);
}

static int identify_cc(struct tf_child *child, struct tf_hash *hash, const char *cc, char *version,
                       size_t version_bytes)
{
    bool const is_clang = tf_flags_is_clang(cc);
    const char *const arguments[] = {cc, is_clang ? "-dumpversion" : "-dumpfullversion", NULL};
    int code = first_line(child, arguments, version, version_bytes);
    if (code == 0)
        code = hash_tool(hash, cc, &child->error);
    if (code == 0)
        tf_hash_field(hash, version, strlen(version));
    /* clang's work is done by libraries of some 100 MB, which its version stands for. */
    if (code == 0 && !is_clang)
        code = hash_part(child, hash, cc, "cc1");
    if (code == 0 && !is_clang)
        code = hash_part(child, hash, cc, "as");
    /* For large data, whatever the compiler. */
    if (code == 0)
        code = hash_tool(hash, "/usr/bin/as", &child->error);
    if (code == 0)
        code = hash_tool(hash, "/usr/bin/ld", &child->error);
    return code;
}

/* The tools of one tier: their hash into the record, a line for people into the product. */
static int identify_tier(struct tf_child *child, enum tf_tier tier, const char *wabt)
{
    const char *const compiler = child->job->cc[tier];
    char version[64], text[256];
    if (compiler[0] == 0)
        return tf_child_deliver(TF_JOB_FD_TEXT, "\n", 1, &child->error);
    struct tf_hash *const hash = tf_hash_create();
    int code = hash_tool(hash, TF_SANDBOX_WABT "/bin/wasm2c", &child->error);
    if (code == 0)
        code = identify_cc(child, hash, compiler, version, sizeof(version));
    tf_hash_finish(hash, child->record.tools[tier]);
    if (code != 0)
        return code;
    snprintf(text, sizeof(text), "wabt %s, %s %s\n", wabt, tf_flags_is_clang(compiler) ? "clang" : "gcc", version);
    return tf_child_deliver(TF_JOB_FD_TEXT, text, strlen(text), &child->error);
}

static int identify(struct tf_child *child)
{
    static const char *const version_arguments[] = {TF_SANDBOX_WABT "/lib64/ld-linux-x86-64.so.2", "--library-path",
                                                    TF_SANDBOX_WABT "/lib/x86_64-linux-gnu",
                                                    TF_SANDBOX_WABT "/bin/wasm2c", "--version", NULL};
    char wabt[64];
    int code = first_line(child, version_arguments, wabt, sizeof(wabt));
    if (code != 0)
        return code;
    if (strcmp(wabt, TF_STOCK_WABT_VERSION) != 0)
        return tf_error_set(&child->error, TF_ERR_TOOLCHAIN, "wasm2c is version %s, not " TF_STOCK_WABT_VERSION REMEDY,
                            wabt);
    for (int tier = 0; tier < TF_TIER_COUNT && code == 0; tier++)
        code = identify_tier(child, (enum tf_tier)tier, wabt);
    return code;
}

int tf_child_check(struct tf_child *child)
{
    int const code = identify(child);
    return code != 0 ? code : check_canaries(child);
}
