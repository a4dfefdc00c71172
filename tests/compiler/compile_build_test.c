/* Whole builds: hostile modules, keys, the interface. Needs the tools of scripts/install-deps. */
#include "compile_make.h"

/* ---- modules that attack the pipeline ---- */

static void names_never_become_c(void)
{
    struct tf_build plain, named;
    struct tf_error error;
    refused("(module (import \"env\" \"" "x */ evil /*" "\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED,
            "x */ evil /*");
    CHECK(build_wat(shared, "(module (func (export \"run\")) (func (export \"a\")))", "", &plain, &error) == 0);
    CHECK(build_wat(shared,
                    "(module $x*/ (func $evil (export \"run\")) (func $inj*/ (export \"x */ "
                    "__attribute__((constructor)) static void inj(void){} __asm__(\\\".incbin "
                    "\\\\\\\"/etc/hostname\\\\\\\"\\\"); /*\")))",
                    "--debug-names", &named, &error) == 0);
    CHECK(strcmp(plain.manifest.key, named.manifest.key) == 0);
    CHECK(memmem(named.object.bytes, named.object.length, "inj", 3) == NULL);
    tf_build_dispose(&plain);
    tf_build_dispose(&named);
}

static void imports_have_their_true_types(void)
{
    static const char *const wrong[] = {
        "(func (param i32 i32) (result i64 i64 i64))", "(func (param i32))", "(func (param i32 i64))",
        "(func (param i32 i32) (result i32))", "(memory 1)", "(table 1 funcref)", "(global i32)",
        "(global (mut i64))",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module (import \"env\" \"hostcall_debug\" %s) (func (export \"run\")))", wrong[i]);
        refused(wat, "", TF_ERR_REFUSED, "hostcall_debug");
    }
    refused("(module (import \"m\" \"run\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "run");
    refused("(module (func (export \"run\") (param i32)))", "", TF_ERR_REFUSED, "run");
    refused("(module (func (export \"walk\")))", "", TF_ERR_REFUSED, "run");
}

static void wrong_types_in_bodies_are_invalid(void)
{
    refused("(module (func (export \"run\") (drop (call 1))) (func (result funcref) (select (result i32) "
            "(i32.const 1) (i32.const 2) (i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (func (export \"run\") (drop (call 1))) (func (result i64) (select (result i32) "
            "(i32.const 1) (i32.const 2) (i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (table 1 externref) (type $t (func)) (func (export \"run\") (call_indirect (type $t) "
            "(i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (func (export \"run\") (return_call 0)))", "--enable-tail-call", TF_ERR_REFUSED, "");
    refused("(module (memory i64 1) (func (export \"run\")))", "--enable-memory64", TF_ERR_REFUSED, "");
    refused("(module (memory 1 1 shared) (func (export \"run\")))", "--enable-threads", TF_ERR_REFUSED, "");
}

/* Three bytes, whatever the number. */
static void put_leb(struct tf_buffer *wasm, uint32_t number)
{
    tf_buffer_append_byte(wasm, (uint8_t)((number & 127) | 128));
    tf_buffer_append_byte(wasm, (uint8_t)((number >> 7 & 127) | 128));
    tf_buffer_append_byte(wasm, (uint8_t)(number >> 14));
}

static void deep_nesting_is_refused(void)
{
    enum { COUNT = 100000 };
    static const uint8_t head[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0,
                                   7, 7, 1, 3, 'r', 'u', 'n', 0, 0};
    uint32_t const body = 3 * COUNT + 2, section = body + 4;
    struct tf_buffer wasm;
    struct tf_build build;
    struct tf_error error;
    tf_buffer_init(&wasm, 1 << 24);
    tf_buffer_append(&wasm, head, sizeof(head));
    tf_buffer_append_byte(&wasm, 10);
    put_leb(&wasm, section);
    tf_buffer_append_byte(&wasm, 1);
    put_leb(&wasm, body);
    tf_buffer_append_byte(&wasm, 0);
    for (int i = 0; i < COUNT; i++)
        tf_buffer_append(&wasm, (const uint8_t[]){0x02, 0x40}, 2);
    for (int i = 0; i <= COUNT; i++)
        tf_buffer_append_byte(&wasm, 0x0b);
    CHECK(build_bytes(shared, &wasm, &build, &error) == TF_ERR_LIMIT);
    CHECK_MESSAGE(strstr(error.text, "nesting") != NULL || strstr(error.text, "function_bytes") != NULL, "%s",
                  error.text);
    tf_buffer_dispose(&wasm);
}

static void what_is_no_module_is_refused(void)
{
    static const char *const sources[] = {"", "hello", "\0asm", "#!/bin/sh\n"};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct tf_buffer wasm;
        struct tf_build build;
        struct tf_error error;
        tf_buffer_init(&wasm, 64);
        tf_buffer_append_text(&wasm, sources[i]);
        CHECK(build_bytes(shared, &wasm, &build, &error) == TF_ERR_MALFORMED);
        tf_buffer_dispose(&wasm);
    }
    struct tf_build build = {0};
    struct tf_error error;
    static uint8_t byte;
    CHECK(tf_compiler_build(shared, &byte, (size_t)1 << 40, NULL, NULL, &build, &error) == TF_ERR_LIMIT);
}

/* Many values alive across a call: they must be kept in the frame. */
static void put_wide_function(struct tf_buffer *wat, unsigned values)
{
    tf_buffer_append_text(wat, "(module (import \"env\" \"hostcall_debug\" (func $d (param i32 i32))) (memory 1)\n"
                               "(func $f (export \"run\")\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(local $v%u i64)", i);
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(local.set $v%u (i64.load offset=%u (i32.const 0)))", i, i * 8);
    tf_buffer_append_text(wat, "(call $d (i32.const 0) (i32.const 0)) (call $f)\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(i64.store offset=%u (i32.const 8) (local.get $v%u))", i * 8, i);
    tf_buffer_append_text(wat, "))");
}

static void frames_are_bounded_and_probed(void)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT};
    struct tf_buffer wat;
    struct tf_build build;
    struct tf_error error;
    struct run run;
    tf_buffer_init(&wat, 1 << 24);
    put_wide_function(&wat, 1000);
    config.limits.stack_frame_bytes = 1024;
    struct tf_compiler *compiler = make_compiler(&config);
    CHECK(build_wat(compiler, (const char *)wat.bytes, "", &build, &error) == TF_ERR_LIMIT);
    CHECK_MESSAGE(strstr(error.text, "stack_frame_bytes (1024)") != NULL, "%s", error.text);
    tf_compiler_destroy(&compiler);
    /* A frame of several pages that recurses ends in the guard, whichever page of it comes to lie there. */
    CHECK(build_wat(shared, (const char *)wat.bytes, "", &build, &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    CHECK(run_call(&run, run_enter, &run) == TF_TRAP_STACK_EXHAUSTED);
    CHECK(run.fault_in_text && run.debug_calls > 10);
    run_close(&run);
    tf_build_dispose(&build);
    tf_buffer_dispose(&wat);
}

/* ---- keys ---- */

#define KEYED(data) "(module (memory 1) (data (i32.const 0) \"" data "\") (func (export \"run\")))"

static void key_of(struct tf_compiler *compiler, const char *wat, char key[TF_HASH_HEX_BYTES])
{
    struct tf_build build;
    struct tf_error error;
    key[0] = 0;
    CHECK(build_wat(compiler, wat, "--debug-names", &build, &error) == 0);
    memcpy(key, build.manifest.key, TF_HASH_HEX_BYTES);
    tf_build_dispose(&build);
}

static void keys_are_of_content(void)
{
    char a[TF_HASH_HEX_BYTES], b[TF_HASH_HEX_BYTES];
    key_of(shared, KEYED("one"), a);
    key_of(shared, KEYED("one"), b);
    CHECK(strcmp(a, b) == 0 && strlen(a) == 64);
    key_of(shared, KEYED("two"), b);
    CHECK(strcmp(a, b) != 0);
    key_of(shared, "(module $named (memory $mem 1) (data $d (i32.const 0) \"one\") (func $r (export \"run\")))", b);
    CHECK(strcmp(a, b) == 0);
    key_of(shared, "(module (memory 1) (data (i32.const 0) \"one\") (func (export \"run\") (nop)))", b);
    CHECK(strcmp(a, b) != 0);
}

static void keys_tell_how_it_was_built(void)
{
    struct tf_compiler_config configs[7];
    char keys[8][TF_HASH_HEX_BYTES], prints[8][TF_HASH_HEX_BYTES];
    for (size_t i = 0; i < 7; i++)
        configs[i] = (struct tf_compiler_config){.limits = TF_LIMITS_DEFAULT};
    configs[0].profile = TF_PROFILE_STRICT;
    configs[1].cpu_level = 3;
    configs[2].limits.stack_frame_bytes = 32768;
    configs[3].limits.table_entries = 1000;
    configs[4].test_world = true;
    configs[5].limits.module_bytes = 1000000; /* only refuses: another fingerprint, the same key */
    configs[6].limits.build_wall_seconds = 100; /* not even that */
    for (size_t i = 0; i < 8; i++) {
        struct tf_compiler *compiler = make_compiler(i < 7 ? &configs[i] : NULL);
        key_of(compiler, KEYED("one"), keys[i]);
        memcpy(prints[i], tf_compiler_fingerprint(compiler), TF_HASH_HEX_BYTES);
        tf_compiler_destroy(&compiler);
    }
    for (size_t i = 0; i < 5; i++) {
        CHECK_MESSAGE(strcmp(keys[i], keys[7]) != 0, "configuration %zu", i);
        CHECK_MESSAGE(strcmp(prints[i], prints[7]) != 0, "configuration %zu", i);
    }
    CHECK(strcmp(keys[5], keys[7]) == 0 && strcmp(prints[5], prints[7]) != 0);
    CHECK(strcmp(keys[6], keys[7]) == 0 && strcmp(prints[6], prints[7]) == 0);
}

struct asked {
    char key[TF_HASH_HEX_BYTES];
    int count;
    bool answer;
};

static bool is_known(void *context, const char *key)
{
    struct asked *const asked = context;
    snprintf(asked->key, sizeof(asked->key), "%s", key);
    asked->count++;
    return asked->answer;
}

static void a_known_key_ends_the_build(void)
{
    struct asked asked = {.answer = true};
    struct tf_buffer wasm;
    struct tf_build build = {0};
    struct tf_error error;
    tf_buffer_init(&wasm, 4096);
    CHECK(assemble(KEYED("one"), "", &wasm));
    CHECK(tf_compiler_build(shared, wasm.bytes, wasm.length, is_known, &asked, &build, &error) == 0);
    CHECK(build.known && asked.count == 1 && build.object.length == 0 && build.image.length == 0);
    CHECK(strcmp(build.manifest.key, asked.key) == 0);
    tf_build_dispose(&build);
    asked.answer = false;
    CHECK(tf_compiler_build(shared, wasm.bytes, wasm.length, is_known, &asked, &build, &error) == 0);
    CHECK(!build.known && asked.count == 2 && build.object.length != 0);
    CHECK(strcmp(build.manifest.key, asked.key) == 0);
    tf_build_dispose(&build);
    tf_buffer_dispose(&wasm);
}

/* ---- the rest of the interface ---- */

static void inspecting_describes(void)
{
    struct tf_buffer wasm, text;
    struct tf_error error = {0};
    tf_buffer_init(&wasm, 4096);
    tf_buffer_init(&text, 65536);
    CHECK(assemble("(module (import \"env\" \"\\1b[2J\" (func)) (func (export \"run\")))", "", &wasm));
    CHECK(tf_compiler_inspect(shared, wasm.bytes, wasm.length, &text, &error) == 0);
    CHECK(text.length != 0 && memchr(text.bytes, 0x1b, text.length) == NULL);
    CHECK(text.length != 0 && strstr((const char *)text.bytes, "verdict: refused") != NULL);
    tf_buffer_clear(&text);
    CHECK(tf_compiler_inspect(shared, (const uint8_t *)"junk", 4, &text, &error) == 0);
    CHECK(text.length != 0 && strstr((const char *)text.bytes, "verdict: malformed") != NULL);
    tf_buffer_dispose(&wasm);
    tf_buffer_dispose(&text);
}

static void not_created(struct tf_compiler_config config, int code, const char *why)
{
    struct tf_compiler *compiler = NULL;
    struct tf_error error = {0};
    int const got = tf_compiler_create(&config, &compiler, &error);
    CHECK_MESSAGE(got == code && compiler == NULL, "%d %s", got, error.text);
    CHECK_MESSAGE(strstr(error.text, why) != NULL, "%s", error.text);
    tf_compiler_destroy(&compiler);
}

static void missing_tools_are_named(void)
{
    struct tf_compiler_config const good = {.limits = TF_LIMITS_DEFAULT,
                                            .child_program = TF_BINARY_DIR "/terrafirma-compiler"};
    struct tf_compiler_config bad = good;
    bad.wabt_prefix = "/nonexistent";
    not_created(bad, TF_ERR_TOOLCHAIN, "install-deps");
    bad = good;
    bad.cc = "no-such-compiler";
    not_created(bad, TF_ERR_TOOLCHAIN, "no-such-compiler");
    bad.cc = "/tmp/gcc";
    not_created(bad, TF_ERR_USAGE, "below /usr");
    bad.cc = "/usr/../tmp/gcc";
    not_created(bad, TF_ERR_USAGE, "below /usr");
    bad.cc = "true";
    not_created(bad, TF_ERR_TOOLCHAIN, "does not work");
    bad = good;
    bad.child_program = "/nonexistent";
    not_created(bad, TF_ERR_TOOLCHAIN, "/nonexistent");
    bad.child_program = TF_SOURCE_DIR "/CMakeLists.txt";
    not_created(bad, TF_ERR_TOOLCHAIN, "");
    bad = good;
    bad.cpu_level = 5;
    not_created(bad, TF_ERR_USAGE, "CPU level");
}

ROUNDS_MAIN(TEST(names_never_become_c), TEST(imports_have_their_true_types), TEST(wrong_types_in_bodies_are_invalid),
            TEST(deep_nesting_is_refused), TEST(what_is_no_module_is_refused), TEST(frames_are_bounded_and_probed),
            TEST(keys_are_of_content), TEST(keys_tell_how_it_was_built), TEST(a_known_key_ends_the_build),
            TEST(inspecting_describes), TEST(missing_tools_are_named))
