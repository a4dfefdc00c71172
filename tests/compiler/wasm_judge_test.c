/*
 * Which valid modules are served: imports, entries, sizes, and whether what start does may be kept.
 */
#include "tests/compiler/wasm_make.h"

static int judge(const struct tf_buffer *source, struct tf_wasm_module **ret_module, struct tf_error *error)
{
    struct tf_limits const limits = make_limits();
    int result = make_read(source, ret_module, error);

    CHECK_MESSAGE(result == 0, "%s", error->text);
    if (result == 0)
        result = tf_wasm_judge(*ret_module, &limits, error);
    return result;
}

static void expect_judged_at(int line, struct tf_buffer *source, int code, const char *words)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    int const result = judge(source, &module, &error);

    CHECK_MESSAGE(result == code && (code == 0 || strstr(error.text, words)),
                  "line %d: expected %d \"%s\", got %d \"%s\"", line, code, words, result, error.text);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(source);
}

#define JUDGED(source, code, words) expect_judged_at(__LINE__, source, code, words)

/* One function of type 0, () -> (), exported as "run"; type 1 is (i32) -> (i32), 2 (i32) -> (), 3 (i32, i32) -> (). */
static const uint8_t types[] = {4, FUNC, 0, 0, FUNC, 1, I32, 1, I32, FUNC, 1, I32, 0, FUNC, 2, I32, I32, 0};

static void import_one(struct tf_buffer *out, const char *module, const char *name, const uint8_t *what, size_t length)
{
    struct tf_buffer content;

    make_module(out);
    make_section(out, TYPES, types, sizeof(types));
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, 1);
    make_name(&content, module);
    make_name(&content, name);
    tf_buffer_append(&content, what, length);
    make_section_from(out, IMPORTS, &content);
    tf_buffer_dispose(&content);
    make_section(out, FUNCTIONS, BYTES(1, 0));
    make_section(out, EXPORTS, BYTES(1, 3, 'r', 'u', 'n', 0, what[0] == 0));
    make_code(out, BYTES(0, END));
}

static void every_row_is_offered_with_its_type_only(void)
{
    struct tf_buffer source;

    import_one(&source, "env", "hostcall_debug", BYTES(0, 3));
    JUDGED(&source, 0, "");
    import_one(&source, "env", "hostcall_debug", BYTES(0, 1));
    JUDGED(&source, TF_ERR_REFUSED,
           "import \"env\".\"hostcall_debug\" is a func (i32) -> (i32), but the host offers a func (i32, i32) -> ()");
    import_one(&source, "env", "hostcall_debug", BYTES(2, 0, 1));
    JUDGED(&source, TF_ERR_REFUSED,
           "import \"env\".\"hostcall_debug\" is a memory, but the host offers a func (i32, i32) -> ()");
    import_one(&source, "env", "hostcall_debu", BYTES(0, 3));
    JUDGED(&source, TF_ERR_REFUSED, "import \"env\".\"hostcall_debu\" (func (i32, i32) -> ()) is not offered");
    import_one(&source, "env", "hostcall_debug2", BYTES(0, 3));
    JUDGED(&source, TF_ERR_REFUSED, "not offered");
    import_one(&source, "Env", "hostcall_debug", BYTES(0, 3));
    JUDGED(&source, TF_ERR_REFUSED, "not offered");
    import_one(&source, "env", "memory", BYTES(2, 0, 1));
    JUDGED(&source, TF_ERR_REFUSED, "import \"env\".\"memory\" (memory) is not offered");
    import_one(&source, "env", "t", BYTES(1, FUNCREF, 0, 1));
    JUDGED(&source, TF_ERR_REFUSED, "import \"env\".\"t\" (table) is not offered");
    import_one(&source, "env", "g", BYTES(3, I32, 0));
    JUDGED(&source, TF_ERR_REFUSED, "import \"env\".\"g\" (global) is not offered");
    import_one(&source, "http_guest", "hostcall_req_get_path", BYTES(0, 3));
    JUDGED(&source, TF_ERR_REFUSED, "is not offered by any world; declare it with @external(\"env\", …)");
    import_one(&source, "wasi_snapshot_preview1", "proc_exit", BYTES(0, 2));
    JUDGED(&source, 0, "");
    import_one(&source, "wasi_snapshot_preview1", "proc_exit", BYTES(0, 0));
    JUDGED(&source, TF_ERR_REFUSED,
           "\"proc_exit\" is a func () -> (), but the host offers a func (i32) -> ()");
    import_one(&source, "wasi_unstable", "proc_exit", BYTES(0, 2));
    JUDGED(&source, TF_ERR_REFUSED, "not offered");
    import_one(&source, "env", "proc_exit", BYTES(0, 2));
    JUDGED(&source, TF_ERR_REFUSED, "not offered");
}

static void names_in_refusals_are_escaped_and_cut(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;
    char name[2000];

    import_one(&source, "*/ int x; /*\n\"\\", "\xe2\x80\xae", BYTES(0, 3));
    JUDGED(&source, TF_ERR_REFUSED, "import \"*/ int x; /*\\x0a\\x22\\x5c\".\"\\xe2\\x80\\xae\" (func");
    memset(name, '\n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    import_one(&source, name, name, BYTES(0, 3));
    CHECK(judge(&source, &module, &error) == TF_ERR_REFUSED);
    CHECK(strlen(error.text) < 400 && strstr(error.text, "\\x0a...\".\"\\x0a") && strstr(error.text, "is not offered"));
    for (const char *c = error.text; *c; c++)
        CHECK(*c >= 0x20 && *c < 0x7f);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

static void long_types_in_refusals_are_cut(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;

    for (unsigned count = 0; count < 40; count++) {
        uint8_t type[80] = {1, FUNC, (uint8_t)count};
        memset(type + 3, EXTERNREF, count);
        type[3 + count] = 12;
        memset(type + 4 + count, EXTERNREF, 12);
        make_module(&source);
        make_section(&source, TYPES, type, 16 + count);
        make_section(&source, IMPORTS, BYTES(1, 1, 'm', 1, 'f', 0, 0));
        CHECK(judge(&source, &module, &error) == TF_ERR_REFUSED && strstr(error.text, "is not offered"));
        tf_wasm_destroy(&module);
        tf_buffer_dispose(&source);
    }
}

static void rows_are_noted(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;

    import_one(&source, "env", "hostcall_debug", BYTES(0, 3));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->imports[0].row == TF_ROW_DEBUG && module->rows[0] == 1u << TF_ROW_DEBUG && module->rows[1] == 0);
    CHECK(module->world == TF_WORLD_TERRARIUM && module->run_func == 1);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

/* Functions 0 to 3 of types 0 to 3, and the export section as given. */
static void export_these(struct tf_buffer *out, const uint8_t *exports, size_t length)
{
    make_module(out);
    make_section(out, TYPES, types, sizeof(types));
    make_section(out, FUNCTIONS, BYTES(4, 0, 1, 2, 3));
    make_section(out, MEMORIES, BYTES(1, 0, 1));
    make_section(out, EXPORTS, exports, length);
    make_section(out, CODE, BYTES(4, 2, 0, END, 4, 0, 0x20, 0, END, 2, 0, END, 2, 0, END));
}

#define RUN 3, 'r', 'u', 'n'
#define COMMAND 6, '_', 's', 't', 'a', 'r', 't'
#define INITIALIZE 11, '_', 'i', 'n', 'i', 't', 'i', 'a', 'l', 'i', 'z', 'e'
#define MALLOC 6, 'm', 'a', 'l', 'l', 'o', 'c'
#define FREE 4, 'f', 'r', 'e', 'e'
#define DEFAULT_MALLOC                                                                                                 \
    19, 'd', 'e', 'f', 'a', 'u', 'l', 't', '_', 'm', 'a', 'l', 'l', 'o', 'c', '_', 'i', 'm', 'p', 'l'

static void entry_has_its_exact_type(void)
{
    struct tf_buffer source;

    export_these(&source, BYTES(1, RUN, 0, 0));
    JUDGED(&source, 0, "");
    export_these(&source, BYTES(0));
    JUDGED(&source, TF_ERR_REFUSED, "exports no \"run\"");
    export_these(&source, BYTES(1, 4, 'r', 'u', 'n', '2', 0, 0));
    JUDGED(&source, TF_ERR_REFUSED, "exports no \"run\"");
    export_these(&source, BYTES(1, RUN, 0, 1));
    JUDGED(&source, TF_ERR_REFUSED, "export \"run\" is a func (i32) -> (i32), wanted a func () -> ()");
    export_these(&source, BYTES(1, RUN, 2, 0));
    JUDGED(&source, TF_ERR_REFUSED, "export \"run\" is a memory, wanted a func () -> ()");
    export_these(&source, BYTES(2, RUN, 0, 0, INITIALIZE, 0, 2));
    JUDGED(&source, TF_ERR_REFUSED, "export \"_initialize\" is a func (i32) -> (), wanted a func () -> ()");
}

static void a_command_is_a_cgi_program(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;

    export_these(&source, BYTES(1, COMMAND, 0, 0));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->world == TF_WORLD_CGI && module->run_func == 0 && module->initialize_func == -1);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    export_these(&source, BYTES(1, COMMAND, 0, 2));
    JUDGED(&source, TF_ERR_REFUSED, "export \"_start\" is a func (i32) -> (), wanted a func () -> ()");
    /* Who imports nothing and exports both is asked for "run", as ever. */
    export_these(&source, BYTES(2, COMMAND, 0, 0, RUN, 0, 0));
    CHECK(judge(&source, &module, &error) == 0 && module->world == TF_WORLD_NONE);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    /* With a WASI import and "run", the module answers by itself; without an import of Terrarium too. */
    import_one(&source, "wasi_snapshot_preview1", "proc_exit", BYTES(0, 2));
    CHECK(judge(&source, &module, &error) == 0 && module->world == TF_WORLD_TERRARIUM);
    CHECK(module->rows[TF_ROW_WASI_PROC_EXIT / 8] == 1u << (TF_ROW_WASI_PROC_EXIT % 8));
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

static void entries_are_found(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;

    export_these(&source, BYTES(5, MALLOC, 0, 1, RUN, 0, 0, FREE, 0, 2, INITIALIZE, 0, 0, 6, 'm', 'e', 'm', 'o', 'r',
                                'y', 2, 0));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->run_func == 0 && module->initialize_func == 0 && module->malloc_func == 1 && module->free_func == 2);
    CHECK(module->world == TF_WORLD_NONE && module->start_is_snapshot_safe);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    /* The Rust crate's name wins; what is of another type is no allocator, and no reason to refuse. */
    export_these(&source, BYTES(3, MALLOC, 0, 2, DEFAULT_MALLOC, 0, 1, RUN, 0, 0));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->malloc_func == 1 && module->free_func == -1 && module->initialize_func == -1);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    export_these(&source, BYTES(4, MALLOC, 0, 2, DEFAULT_MALLOC, 2, 0, RUN, 0, 0, FREE, 0, 3));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->malloc_func == -1 && module->free_func == -1);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

static void a_host_function_is_no_allocator(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source, content;

    make_module(&source);
    make_section(&source, TYPES, types, sizeof(types));
    tf_buffer_init(&content, 1000);
    make_u32(&content, 1);
    make_name(&content, "env");
    make_name(&content, "hostcall_req_send");
    tf_buffer_append(&content, "\0\1", 2);
    make_section_from(&source, IMPORTS, &content);
    tf_buffer_dispose(&content);
    make_section(&source, FUNCTIONS, BYTES(1, 0));
    make_section(&source, EXPORTS, BYTES(2, RUN, 0, 1, MALLOC, 0, 0));
    make_code(&source, BYTES(0, END));
    CHECK(judge(&source, &module, &error) == 0);
    CHECK(module->malloc_func == -1);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

static void sizes_are_limited(void)
{
    struct tf_buffer source;

    for (int i = 0; i < 2; i++) {
        make_module(&source);
        make_section(&source, TYPES, types, sizeof(types));
        make_section(&source, FUNCTIONS, BYTES(1, 0));
        make_section(&source, MEMORIES, BYTES(1, 0, 0x80 | i, 0x10)); /* 2048 pages, then one more */
        make_section(&source, EXPORTS, BYTES(1, RUN, 0, 0));
        make_code(&source, BYTES(0, END));
        JUDGED(&source, i ? TF_ERR_LIMIT : 0, "limit memory_pages");
        make_module(&source);
        make_section(&source, TYPES, types, sizeof(types));
        make_section(&source, FUNCTIONS, BYTES(1, 0));
        make_section(&source, TABLES, BYTES(1, FUNCREF, 0, 0x80 | i, 0x80, 4)); /* 65536, then one more */
        make_section(&source, EXPORTS, BYTES(1, RUN, 0, 0));
        make_code(&source, BYTES(0, END));
        JUDGED(&source, i ? TF_ERR_LIMIT : 0, "limit table_entries");
    }
}

/* Imports debug (safe, function 0) and a second row (function 1); function 2 is start, 3 a helper, 4 run, which calls
 * the second row. Table 0 holds function 3. */
static bool start_is_safe(const char *second, uint8_t second_type, const uint8_t *start, size_t start_length,
                          const uint8_t *helper, size_t helper_length)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source, content;

    make_module(&source);
    make_section(&source, TYPES, types, sizeof(types));
    tf_buffer_init(&content, 1000);
    make_u32(&content, 2);
    make_name(&content, "env");
    make_name(&content, "hostcall_debug");
    tf_buffer_append(&content, "\0\3", 2);
    make_name(&content, "env");
    make_name(&content, second);
    tf_buffer_append_byte(&content, 0);
    tf_buffer_append_byte(&content, second_type);
    make_section_from(&source, IMPORTS, &content);
    make_section(&source, FUNCTIONS, BYTES(3, 0, 0, 0));
    make_section(&source, TABLES, BYTES(1, FUNCREF, 0, 1));
    make_section(&source, EXPORTS, BYTES(1, RUN, 0, 4));
    make_section(&source, START, BYTES(2));
    make_section(&source, ELEMENTS, BYTES(1, 0, I32_CONST, 0, END, 1, 3));
    make_u32(&content, 3);
    make_u32(&content, (uint32_t)start_length);
    tf_buffer_append(&content, start, start_length);
    make_u32(&content, (uint32_t)helper_length);
    tf_buffer_append(&content, helper, helper_length);
    tf_buffer_append(&content, "\7\0\x41\0\x10\1\x1a\x0b", 8);
    make_section_from(&source, CODE, &content);
    tf_buffer_dispose(&content);
    int const result = judge(&source, &module, &error);
    CHECK_MESSAGE(result == 0, "%s", error.text);
    bool const is_safe = result == 0 && module->start_is_snapshot_safe;
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    return is_safe;
}

static void start_is_followed_through_calls(void)
{
    static const uint8_t nothing[] = {0, END}, calls_debug[] = {1, 1, I32, I32_CONST, 0, I32_CONST, 0, 0x10, 0, END};
    static const uint8_t sends[] = {0, I32_CONST, 0, 0x10, 1, DROP, END}, calls_helper[] = {0, 0x10, 3, END};
    static const uint8_t calls_table[] = {0, I32_CONST, 0, 0x11, 0, 0, END};
    static const uint8_t loops[] = {0, 0x10, 3, 0x10, 2, END};
    const char *const send = "hostcall_req_send";

    CHECK(start_is_safe(send, 1, nothing, sizeof(nothing), sends, sizeof(sends)));
    CHECK(start_is_safe(send, 1, calls_debug, sizeof(calls_debug), sends, sizeof(sends)));
    CHECK(!start_is_safe(send, 1, sends, sizeof(sends), nothing, sizeof(nothing)));
    CHECK(!start_is_safe(send, 1, calls_helper, sizeof(calls_helper), sends, sizeof(sends)));
    CHECK(!start_is_safe(send, 1, calls_table, sizeof(calls_table), sends, sizeof(sends)));
    CHECK(start_is_safe(send, 1, calls_table, sizeof(calls_table), calls_debug, sizeof(calls_debug)));
    CHECK(start_is_safe(send, 1, loops, sizeof(loops), loops, sizeof(loops)));
}

static void descriptions_are_plain_text(void)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source, text;

    import_one(&source, "env", "hostcall_debug", BYTES(0, 3));
    CHECK(judge(&source, &module, &error) == 0);
    tf_buffer_init(&text, 100000);
    tf_wasm_describe(module, &text);
    CHECK(strstr((char *)text.bytes, "world: terrarium\n") && strstr((char *)text.bytes, "memory: none\n"));
    CHECK(strstr((char *)text.bytes, "  \"env\".\"hostcall_debug\" func (i32, i32) -> ()\n"));
    CHECK(strstr((char *)text.bytes, "  \"run\" func 1 () -> ()\n") && strstr((char *)text.bytes, "run: function 1\n"));
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    tf_buffer_dispose(&text);
    /* What is refused is described, too. */
    import_one(&source, "e\nv", "memory", BYTES(2, 1, 1, 9));
    CHECK(judge(&source, &module, &error) == TF_ERR_REFUSED);
    tf_buffer_init(&text, 100000);
    tf_wasm_describe(module, &text);
    CHECK(strstr((char *)text.bytes, "world: none that is served\n"));
    CHECK(strstr((char *)text.bytes, "memory: 1 to 9 pages of 64 KiB\n"));
    CHECK(strstr((char *)text.bytes, "  \"e\\x0av\".\"memory\" memory\n"));
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    tf_buffer_dispose(&text);
}

TEST_MAIN(TEST(every_row_is_offered_with_its_type_only), TEST(names_in_refusals_are_escaped_and_cut),
          TEST(long_types_in_refusals_are_cut), TEST(rows_are_noted), TEST(entry_has_its_exact_type),
          TEST(a_command_is_a_cgi_program), TEST(entries_are_found), TEST(a_host_function_is_no_allocator),
          TEST(sizes_are_limited),
          TEST(start_is_followed_through_calls), TEST(descriptions_are_plain_text))
