/* Descriptors that lie, one way each. All are built, hashed and stored properly: only the loader's look can tell. */
#include "tests/loader/artifact.h"

static void check_load(const char *flags, struct tf_manifest manifest, int expected)
{
    char key[TF_HASH_HEX_BYTES];
    static int number;
    char name[32];
    snprintf(name, sizeof(name), "%d", number++);
    put_compiled(name, flags, manifest, key);
    struct tf_module *module = NULL;
    struct tf_error error = {0};
    int const result = tf_module_load(cache, key, &module, &error);
    CHECK_MESSAGE(result == expected, "%s gave %d: %s", flags, result, error.text);
    CHECK(result == error.code && (result == 0) == (module != NULL));
    tf_module_release(&module);
    CHECK(count_mappings(key) == 0);
}

static void lying_fields_are_refused(void)
{
    enter();
    static const struct {
        const char *override;
        int expected;
    } vectors[] = {
        {".magic = 1", TF_ERR_CORRUPT},
        {".abi_version = TF_ABI_VERSION + 1", TF_ERR_ABI},
        {".struct_bytes = 8", TF_ERR_ABI},
        {".struct_bytes = sizeof(struct tf_abi_module) + 8", TF_ERR_ABI},
        {".cpu_level = 2", TF_ERR_CORRUPT},
        {".world = 0", TF_ERR_CORRUPT},
        {".flags = 0", TF_ERR_CORRUPT},
        {".table_count = 65", TF_ERR_CORRUPT},
        {".table_count = 0xffffffff", TF_ERR_CORRUPT},
        {".instance_bytes = 0", TF_ERR_CORRUPT},
        {".instance_bytes = 40", TF_ERR_CORRUPT},
        {".instance_bytes = TF_ABI_HOST_AREA_BYTES - 64", TF_ERR_CORRUPT},
        {".instance_bytes = TF_ABI_HOST_AREA_BYTES + 1", TF_ERR_CORRUPT},
        {".instance_bytes = -1", TF_ERR_CORRUPT},
        {".import_offset = 1", TF_ERR_CORRUPT},
        {".import_offset = sizeof(struct instance)", TF_ERR_CORRUPT},
        {".import_offset = -8", TF_ERR_CORRUPT},
        {".memory_offset = 4", TF_ERR_CORRUPT},
        {".memory_offset = sizeof(struct instance) - 16", TF_ERR_CORRUPT},
        {".memory_offset = -16", TF_ERR_CORRUPT},
        {".memory_offset = TF_ABI_NO_OFFSET", TF_ERR_CORRUPT},
        {".memory_pages_min = 2", TF_ERR_CORRUPT},
        {".memory_pages_max = 17", TF_ERR_CORRUPT},
        {".static_reach = TF_ABI_REACH_LARGE_BYTES + 1", TF_ERR_CORRUPT},
        {".image_bytes = 0", TF_ERR_CORRUPT},
        {".image_bytes = 8192", TF_ERR_CORRUPT},
        {".tables = 0", TF_ERR_CORRUPT},
        {".tables = (void *)0x1000", TF_ERR_CORRUPT},
        {".tables = (void *)writable", TF_ERR_CORRUPT},
        {".tables = (void *)((char *)tables + 1)", TF_ERR_CORRUPT},
        {".tables = (void *)-64", TF_ERR_CORRUPT},
        {".instantiate = 0", TF_ERR_CORRUPT},
        {".run = 0", TF_ERR_CORRUPT},
        {".run = (void *)1", TF_ERR_CORRUPT},
        {".run = (void *)writable", TF_ERR_CORRUPT},
        {".instantiate = (void *)writable", TF_ERR_CORRUPT},
        {".start = (void *)writable", TF_ERR_CORRUPT},
        {".initialize = (void *)writable", TF_ERR_CORRUPT},
        {".allocate = (void *)writable", TF_ERR_CORRUPT},
        {".release = (void *)writable", TF_ERR_CORRUPT},
        {".table_allocate = (void *)writable", TF_ERR_CORRUPT},
        {".table_release = (void *)-1", TF_ERR_CORRUPT},
        {"", 0},
        {".start = run, .initialize = run, .import_offset = TF_ABI_NO_OFFSET, .static_reach = 1ull << 32", 0},
        {".table_count = 0, .tables = 0", 0},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char flags[200];
        snprintf(flags, sizeof(flags), "'-DOVERRIDE=%s'", vectors[i].override);
        check_load(flags, plain_manifest(), vectors[i].expected);
    }
    leave();
}

static void lying_tables_are_refused(void)
{
    enter();
    static const struct {
        const char *spec;
        int expected;
    } vectors[] = {
        {".entries_min = 11", TF_ERR_CORRUPT},
        {".entry_bytes = 0", TF_ERR_CORRUPT},
        {".entry_bytes = 16", TF_ERR_CORRUPT},
        {".changeable = 2", TF_ERR_CORRUPT},
        {".instance_offset = 2", TF_ERR_CORRUPT},
        {".instance_offset = sizeof(struct instance) - 8", TF_ERR_CORRUPT},
        {".instance_offset = -16", TF_ERR_CORRUPT},
        {".instance_offset = __builtin_offsetof(struct instance, table)", TF_ERR_CORRUPT},
        {".instance_offset = __builtin_offsetof(struct instance, table) + 8", TF_ERR_CORRUPT},
        {".changeable = 1, .entries_max = (TF_ABI_HOST_AREA_BYTES >> 3) - 100", TF_ERR_CORRUPT},
        {".changeable = 1, .entries_max = -1, .entry_bytes = TF_ABI_FUNCREF_BYTES", TF_ERR_CORRUPT},
        {".changeable = 0, .entries_max = (TF_ABI_HOST_AREA_BYTES >> 3)", 0},
        {".changeable = 1, .entries_max = 400000", 0},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char flags[200];
        snprintf(flags, sizeof(flags), "'-DSPEC=%s'", vectors[i].spec);
        check_load(flags, plain_manifest(), vectors[i].expected);
    }
    leave();
}

/* Here descriptor and manifest agree: what they say is impossible in itself. */
static void impossible_memories_are_refused(void)
{
    enter();
    struct tf_manifest manifest = plain_manifest();
    manifest.memory_pages_min = 17;
    check_load("'-DOVERRIDE=.memory_pages_min = 17'", manifest, TF_ERR_CORRUPT);
    manifest = plain_manifest();
    manifest.memory_pages_max = 65537;
    check_load("'-DOVERRIDE=.memory_pages_max = 65537'", manifest, TF_ERR_CORRUPT);
    manifest.memory_pages_max = 65536;
    check_load("'-DOVERRIDE=.memory_pages_max = 65536'", manifest, 0);
    manifest = plain_manifest();
    manifest.memory_pages_min = 0;
    check_load("'-DOVERRIDE=.memory_pages_min = 0'", manifest, TF_ERR_CORRUPT);
    manifest.memory_pages_min = manifest.memory_pages_max = manifest.image_bytes = 0;
    check_load("'-DOVERRIDE=.memory_pages_min = 0, .memory_pages_max = 0, .image_bytes = 0, .memory_offset = -1'",
               manifest, 0);
    leave();
}

static void objects_of_the_wrong_form_are_refused(void)
{
    enter();
    check_load("-Dtf_module=another_name", plain_manifest(), TF_ERR_CORRUPT);
    check_load("-Wl,-z,separate-code", plain_manifest(), TF_ERR_CORRUPT);
    check_load("-Wl,-N", plain_manifest(), TF_ERR_CORRUPT);
    leave();
}

static void functions_outside_the_text_are_refused(void)
{
    enter();
    struct tf_manifest manifest = plain_manifest();
    struct tf_manifest_function function = {.text_offset = 1 << 20, .text_bytes = 1};
    manifest.functions = &function;
    manifest.function_count = 1;
    check_load("", manifest, TF_ERR_CORRUPT);
    function = (struct tf_manifest_function){.text_offset = 0x100, .text_bytes = UINT32_MAX};
    check_load("", manifest, TF_ERR_CORRUPT);
    leave();
}

TEST_MAIN(TEST(lying_fields_are_refused), TEST(lying_tables_are_refused), TEST(impossible_memories_are_refused),
          TEST(objects_of_the_wrong_form_are_refused), TEST(functions_outside_the_text_are_refused))
