/*
 * The canonical form and the image, byte by byte.
 */
#include "tests/compiler/wasm_make.h"

struct form {
    int result;
    struct tf_error error;
    struct tf_buffer canonical, image;
};

/* Reads, judges, canonicalises; frees the source. The result is that of the last step reached. */
static struct form form_of(struct tf_buffer *source, bool is_test_world)
{
    struct tf_limits const limits = make_limits();
    struct tf_wasm_module *module;
    struct form form;

    tf_buffer_init(&form.canonical, MAKE_MODULE_BYTES_MAX);
    tf_buffer_init(&form.image, MAKE_MODULE_BYTES_MAX);
    form.result = make_read(source, &module, &form.error);
    CHECK_MESSAGE(form.result == 0, "%s", form.error.text);
    if (form.result == 0)
        form.result = is_test_world ? tf_wasm_judge_test_world(module, &limits, &form.error)
                                    : tf_wasm_judge(module, &limits, &form.error);
    if (form.result == 0)
        form.result = tf_wasm_canonicalise(module, &form.canonical, &form.image, &form.error);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(source);
    return form;
}

static void dispose(struct form *form)
{
    tf_buffer_dispose(&form->canonical);
    tf_buffer_dispose(&form->image);
}

static void expect_form_at(int line, struct tf_buffer *source, struct tf_buffer *wanted)
{
    struct form form = form_of(source, false);

    CHECK_MESSAGE(form.result == 0, "line %d: %s", line, form.error.text);
    if (form.canonical.length != wanted->length ||
        memcmp(form.canonical.bytes, wanted->bytes, wanted->length) != 0) {
        CHECK_MESSAGE(false, "line %d: another canonical form:", line);
        for (size_t i = 0; i < form.canonical.length; i++)
            fprintf(stderr, "%02x ", form.canonical.bytes[i]);
        fprintf(stderr, "\n");
    }
    tf_buffer_dispose(wanted);
    dispose(&form);
}

#define EXPECT_FORM(source, wanted) expect_form_at(__LINE__, source, wanted)
#define RUN 3, 'r', 'u', 'n'

static void names_and_custom_sections_are_gone(void)
{
    struct tf_buffer source, wanted, content;

    for (int i = 0; i < 2; i++) {
        make_module(&source);
        if (i)
            make_section(&source, 0, BYTES(4, 'n', 'a', 'm', 'e', 1, 2, 3));
        make_section(&source, TYPES, BYTES(2, FUNC, 2, I32, I32, 0, FUNC, 0, 0));
        tf_buffer_init(&content, 1000);
        make_u32(&content, 1);
        make_name(&content, "env");
        make_name(&content, "hostcall_debug");
        tf_buffer_append(&content, "\0\0", 2);
        make_section_from(&source, IMPORTS, &content);
        make_section(&source, FUNCTIONS, BYTES(1, 1));
        if (i)
            make_section(&source, 0, BYTES(0, 0xff));
        make_u32(&content, i ? 3 : 1);
        make_name(&content, "run");
        tf_buffer_append(&content, "\0\1", 2);
        if (i) {
            make_name(&content, "*/ int evil; /*");
            tf_buffer_append(&content, "\0\1", 2);
            make_name(&content, "");
            tf_buffer_append(&content, "\0\0", 2);
        }
        make_section_from(&source, EXPORTS, &content);
        tf_buffer_dispose(&content);
        /* A size with more bytes than it needs, around the same body. */
        if (i)
            tf_buffer_append(&source, "\x0a\x86\x00\x01\x83\x00\x00\x01\x0b", 9);
        else
            make_code(&source, BYTES(0, 0x01, END));
        make_module(&wanted);
        make_section(&wanted, TYPES, BYTES(2, FUNC, 2, I32, I32, 0, FUNC, 0, 0));
        make_section(&wanted, IMPORTS, BYTES(1, 1, 'h', 2, 'f', '2', 0, 0));
        make_section(&wanted, FUNCTIONS, BYTES(1, 1));
        make_section(&wanted, EXPORTS, BYTES(1, RUN, 0, 1));
        make_code(&wanted, BYTES(0, 0x01, END));
        EXPECT_FORM(&source, &wanted);
    }
}

static void entries_get_their_names(void)
{
    struct tf_buffer source, wanted, content;

    make_module(&source);
    make_section(&source, TYPES, BYTES(3, FUNC, 0, 0, FUNC, 1, I32, 1, I32, FUNC, 1, I32, 0));
    make_section(&source, FUNCTIONS, BYTES(4, 0, 0, 1, 2));
    tf_buffer_init(&content, 1000);
    make_u32(&content, 4);
    make_name(&content, "default_free_impl");
    tf_buffer_append(&content, "\0\3", 2);
    make_name(&content, "default_malloc_impl");
    tf_buffer_append(&content, "\0\2", 2);
    make_name(&content, "_initialize");
    tf_buffer_append(&content, "\0\1", 2);
    make_name(&content, "run");
    tf_buffer_append(&content, "\0\0", 2);
    make_section_from(&source, EXPORTS, &content);
    make_section(&source, START, BYTES(1));
    make_section(&source, CODE, BYTES(4, 2, 0, END, 2, 0, END, 4, 0, 0x20, 0, END, 2, 0, END));
    make_module(&wanted);
    make_section(&wanted, TYPES, BYTES(3, FUNC, 0, 0, FUNC, 1, I32, 1, I32, FUNC, 1, I32, 0));
    make_section(&wanted, FUNCTIONS, BYTES(4, 0, 0, 1, 2));
    make_u32(&content, 5);
    make_name(&content, "run");
    tf_buffer_append(&content, "\0\0", 2);
    make_name(&content, "start");
    tf_buffer_append(&content, "\0\1", 2);
    make_name(&content, "initialize");
    tf_buffer_append(&content, "\0\1", 2);
    make_name(&content, "malloc");
    tf_buffer_append(&content, "\0\2", 2);
    make_name(&content, "free");
    tf_buffer_append(&content, "\0\3", 2);
    make_section_from(&wanted, EXPORTS, &content);
    tf_buffer_dispose(&content);
    make_section(&wanted, CODE, BYTES(4, 2, 0, END, 2, 0, END, 4, 0, 0x20, 0, END, 2, 0, END));
    EXPECT_FORM(&source, &wanted);
}

static void references_stay_declared(void)
{
    struct tf_buffer source, wanted;

    /* run names functions 1, 2 and 3: 1 was exported, 2 is in a segment, 3 in a global. */
    for (int i = 0; i < 2; i++) {
        struct tf_buffer *const out = i ? &wanted : &source;
        make_module(out);
        make_section(out, TYPES, BYTES(1, FUNC, 0, 0));
        make_section(out, FUNCTIONS, BYTES(4, 0, 0, 0, 0));
        make_section(out, GLOBALS, BYTES(1, FUNCREF, 0, 0xd2, 3, END));
        if (i)
            make_section(out, EXPORTS, BYTES(2, RUN, 0, 0, 2, 'x', '1', 0, 1));
        else
            make_section(out, EXPORTS, BYTES(3, 1, 'a', 0, 1, 1, 'b', 0, 2, RUN, 0, 0));
        make_section(out, ELEMENTS, BYTES(1, 3, 0, 1, 2));
        make_section(out, CODE, BYTES(4, 11, 0, 0xd2, 1, DROP, 0xd2, 2, DROP, 0xd2, 3, DROP, END, 2, 0, END, 2, 0, END,
                                      2, 0, END));
    }
    EXPECT_FORM(&source, &wanted);
}

static void constants_are_folded(void)
{
    struct tf_buffer source, wanted;

    make_module(&source);
    make_section(&source, TYPES, BYTES(1, FUNC, 0, 0));
    make_section(&source, FUNCTIONS, BYTES(1, 0));
    make_section(&source, TABLES, BYTES(2, FUNCREF, 1, 9, 12, EXTERNREF, 0, 9));
    make_section(&source, GLOBALS,
                 BYTES(6, I32, 0, I32_CONST, 0x7f, I32_CONST, 0xff, 0xff, 0xff, 0xff, 7, 0x6b, END, /* -1 - INT32_MAX */
                       I64, 1, I64_CONST, 5, I64_CONST, 7, 0x7d, I64_CONST, 3, 0x7e, END,           /* (5 - 7) * 3 */
                       F32, 0, 0x43, 1, 2, 0xa0, 0x7f, END,                                        /* a NaN's bits */
                       F64, 0, 0x44, 1, 2, 3, 4, 5, 6, 7, 8, END,                                   /* as they are */
                       EXTERNREF, 0, 0xd0, EXTERNREF, END,                                          /* none */
                       V128, 0, 0xfd, 0x8c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, END));
    make_section(&source, EXPORTS, BYTES(1, RUN, 0, 0));
    make_section(&source, ELEMENTS,
                 BYTES(4, 2, 0, I32_CONST, 2, I32_CONST, 3, 0x6a, END, 0, 1, 0,     /* active, explicitly in table 0 */
                       4, I32_CONST, 0, END, 2, 0xd2, 0, END, 0xd0, FUNCREF, END,   /* with a null */
                       6, 1, I32_CONST, 1, END, EXTERNREF, 1, 0xd0, EXTERNREF, END, /* externref */
                       5, FUNCREF, 1, 0xd2, 0, END));                               /* expressions of functions */
    make_code(&source, BYTES(0, END));
    make_module(&wanted);
    make_section(&wanted, TYPES, BYTES(1, FUNC, 0, 0));
    make_section(&wanted, FUNCTIONS, BYTES(1, 0));
    make_section(&wanted, TABLES, BYTES(2, FUNCREF, 1, 9, 12, EXTERNREF, 0, 9));
    make_section(&wanted, GLOBALS,
                 BYTES(6, I32, 0, I32_CONST, 0x80, 0x80, 0x80, 0x80, 0x78, END, I64, 1, I64_CONST, 0x7a, END, F32, 0,
                       0x43, 1, 2, 0xa0, 0x7f, END, F64, 0, 0x44, 1, 2, 3, 4, 5, 6, 7, 8, END, EXTERNREF, 0, 0xd0,
                       EXTERNREF, END, V128, 0, 0xfd, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, END));
    make_section(&wanted, EXPORTS, BYTES(1, RUN, 0, 0));
    make_section(&wanted, ELEMENTS,
                 BYTES(4, 0, I32_CONST, 5, END, 1, 0, 4, I32_CONST, 0, END, 2, 0xd2, 0, END, 0xd0, FUNCREF, END, 6, 1,
                       I32_CONST, 1, END, EXTERNREF, 1, 0xd0, EXTERNREF, END, 1, 0, 1, 0));
    make_code(&wanted, BYTES(0, END));
    EXPECT_FORM(&source, &wanted);
}

/* A module of one page (or as given) with the data section; run drops segment 0 where asked to. */
static void make_data(struct tf_buffer *out, uint8_t pages, bool names_data, const uint8_t *data, size_t length)
{
    make_module(out);
    make_section(out, TYPES, BYTES(1, FUNC, 0, 0));
    make_section(out, FUNCTIONS, BYTES(1, 0));
    make_section(out, MEMORIES, BYTES(1, 0, pages));
    make_section(out, EXPORTS, BYTES(1, RUN, 0, 0));
    if (names_data) {
        make_section(out, DATA_COUNT, data, 1);
        make_code(out, BYTES(0, 0xfc, 9, 0, END));
    } else
        make_code(out, BYTES(0, END));
    if (length > 0)
        make_section(out, DATA, data, length);
}

static void data_goes_to_the_image(void)
{
    static const uint8_t data[] = {3, 0, I32_CONST, 0, END, 3, 'a', 'b', 'c', 1, 2, 'x', 'y',
                                   0, I32_CONST, 1, END, 1, 'B'};
    struct tf_buffer source, wanted;

    make_data(&source, 1, false, data, sizeof(data));
    struct form form = form_of(&source, false);
    CHECK(form.result == 0 && form.image.length == TF_HOST_PAGE_BYTES);
    CHECK(memcmp(form.image.bytes, "aBc\0", 4) == 0 && form.image.bytes[4095] == 0);
    dispose(&form);
    /* Nothing names the segments: they are gone. */
    make_data(&source, 1, false, data, sizeof(data));
    make_data(&wanted, 1, false, NULL, 0);
    EXPECT_FORM(&source, &wanted);
    /* Something does: the active ones are empty, as they are after instantiation. */
    make_data(&source, 1, true, data, sizeof(data));
    make_data(&wanted, 1, true, BYTES(3, 1, 0, 1, 2, 'x', 'y', 1, 0));
    EXPECT_FORM(&source, &wanted);
}

static size_t image_bytes(uint8_t pages, const uint8_t *data, size_t length, int *ret_result)
{
    struct tf_buffer source;

    make_data(&source, pages, false, data, length);
    struct form form = form_of(&source, false);
    size_t const bytes = form.image.length;
    *ret_result = form.result;
    if (form.result != 0)
        CHECK(strstr(form.error.text, "data segment 0") && strstr(form.error.text, "could never start"));
    dispose(&form);
    return bytes;
}

static void images_are_trimmed_and_bounded(void)
{
    int result;

    /* The last byte of the page, and one beyond it. */
    CHECK(image_bytes(1, BYTES(1, 0, I32_CONST, 0xff, 0xff, 3, END, 1, 1), &result) == 65536 && result == 0);
    CHECK(image_bytes(1, BYTES(1, 0, I32_CONST, 0xff, 0xff, 3, END, 2, 1, 1), &result) == 0 &&
          result == TF_ERR_REFUSED);
    /* Offsets are unsigned: -1 is far outside. */
    CHECK(image_bytes(1, BYTES(1, 0, I32_CONST, 0x7f, END, 1, 1), &result) == 0 && result == TF_ERR_REFUSED);
    CHECK(image_bytes(0, BYTES(1, 0, I32_CONST, 0, END, 1, 1), &result) == 0 && result == TF_ERR_REFUSED);
    /* Even an empty segment must not begin behind the end, but may begin at it. */
    CHECK(image_bytes(0, BYTES(1, 0, I32_CONST, 0, END, 0), &result) == 0 && result == 0);
    CHECK(image_bytes(0, BYTES(1, 0, I32_CONST, 1, END, 0), &result) == 0 && result == TF_ERR_REFUSED);
    /* Zeros need no image, be they written once or over something else. */
    CHECK(image_bytes(1, BYTES(1, 0, I32_CONST, 0x80, 0x80, 1, END, 2, 0, 0), &result) == 0 && result == 0);
    CHECK(image_bytes(1, BYTES(3, 0, I32_CONST, 0, END, 1, 'a', 0, I32_CONST, 0x80, 0x80, 1, END, 1, 1, 0, I32_CONST,
                               0x80, 0x80, 1, END, 1, 0),
                      &result) == 4096 &&
          result == 0);
}

static void elements_must_fit(void)
{
    for (uint8_t offset = 2; offset < 5; offset++) {
        struct tf_buffer source;
        make_module(&source);
        make_section(&source, TYPES, BYTES(1, FUNC, 0, 0));
        make_section(&source, FUNCTIONS, BYTES(1, 0));
        make_section(&source, TABLES, BYTES(1, FUNCREF, 1, 3, 9));
        make_section(&source, EXPORTS, BYTES(1, RUN, 0, 0));
        if (offset < 4)
            make_section(&source, ELEMENTS, BYTES(1, 0, I32_CONST, offset, END, 1, 0));
        else
            make_section(&source, ELEMENTS, BYTES(1, 0, I32_CONST, offset, END, 0));
        make_code(&source, BYTES(0, END));
        struct form form = form_of(&source, false);
        CHECK(form.result == (offset == 2 ? 0 : TF_ERR_REFUSED));
        CHECK(offset == 2 || strstr(form.error.text, "element segment 0"));
        dispose(&form);
    }
}

static void the_test_world_keeps_all_exports(void)
{
    struct tf_buffer source, wanted;

    for (int i = 0; i < 2; i++) {
        struct tf_buffer *const out = i ? &wanted : &source;
        make_module(out);
        make_section(out, TYPES, BYTES(1, FUNC, 0, 0));
        if (i)
            make_section(out, IMPORTS, BYTES(2, 1, 'h', 2, 'f', '0', 0, 0, 1, 'h', 2, 'f', '1', 0, 0));
        else
            make_section(out, IMPORTS, BYTES(2, 1, 's', 1, 'a', 0, 0, 0, 1, 'b', 0, 0));
        make_section(out, FUNCTIONS, BYTES(1, 0));
        make_section(out, MEMORIES, BYTES(1, 0, 1));
        if (i)
            make_section(out, EXPORTS,
                         BYTES(3, 2, 'x', '0', 0, 1, 2, 'x', '1', 2, 0, 5, 's', 't', 'a', 'r', 't', 0, 0));
        else
            make_section(out, EXPORTS, BYTES(2, 1, 'f', 0, 1, 1, 'm', 2, 0));
        if (!i)
            make_section(out, START, BYTES(0));
        make_code(out, BYTES(0, END));
    }
    struct form form = form_of(&source, true);
    CHECK_MESSAGE(form.result == 0, "%s", form.error.text);
    CHECK(form.canonical.length == wanted.length &&
          memcmp(form.canonical.bytes, wanted.bytes, wanted.length) == 0);
    tf_buffer_dispose(&wanted);
    dispose(&form);
}

static void the_maximum_holds(void)
{
    struct tf_limits const limits = make_limits();
    struct tf_wasm_module *module;
    struct tf_buffer source, canonical, image;
    struct tf_error error;

    make_data(&source, 1, false, BYTES(1, 0, I32_CONST, 0, END, 1, 'a'));
    CHECK(make_read(&source, &module, &error) == 0);
    /* Not before it is judged. */
    tf_buffer_init(&canonical, 20);
    tf_buffer_init(&image, 4095);
    CHECK(tf_wasm_canonicalise(module, &canonical, &image, &error) == TF_ERR_USAGE);
    CHECK(tf_wasm_judge(module, &limits, &error) == 0);
    CHECK(tf_wasm_canonicalise(module, &canonical, &image, &error) == TF_ERR_LIMIT && strstr(error.text, "image"));
    tf_buffer_dispose(&image);
    tf_buffer_init(&image, 4096);
    CHECK(tf_wasm_canonicalise(module, &canonical, &image, &error) == TF_ERR_LIMIT && strstr(error.text, "20 bytes"));
    tf_buffer_dispose(&image);
    tf_buffer_dispose(&canonical);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

TEST_MAIN(TEST(names_and_custom_sections_are_gone), TEST(entries_get_their_names), TEST(references_stay_declared),
          TEST(constants_are_folded), TEST(data_goes_to_the_image), TEST(images_are_trimmed_and_bounded),
          TEST(elements_must_fit), TEST(the_test_world_keeps_all_exports), TEST(the_maximum_holds))
