/*
 * Instances: a module of the suite read, linked, built, loaded, and started on a slot.
 */
#include "tests/spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* ---- names ---- */

static bool name_is(struct tf_wasm_bytes name, const char *bytes, size_t length)
{
    return name.length == length && memcmp(name.bytes, bytes, length) == 0;
}

struct spec_instance *spec_find(struct spec_store *store, const char *name)
{
    if (name == NULL)
        return store->current;
    for (struct spec_instance *instance = store->instances; instance != NULL; instance = instance->next)
        if (instance->name != NULL && strcmp(instance->name, name) == 0)
            return instance;
    return NULL;
}

int spec_register(struct spec_store *store, const char *name, struct spec_instance *instance)
{
    unsigned i = 0;
    while (i < store->registration_count && strcmp(store->registrations[i].name, name) != 0)
        i++;
    if (i == sizeof(store->registrations) / sizeof(store->registrations[0]))
        return TF_ERR_LIMIT;
    if (i == store->registration_count) {
        store->registrations[i].name = strdup(name);
        store->registration_count++;
    }
    store->registrations[i].instance = instance;
    instance->is_registered = true; /* for good: what imported from it may live on */
    return 0;
}

static const struct tf_wasm_export *find_source_export(const struct tf_wasm_module *module, const char *name,
                                                       size_t length, uint32_t *ret_number)
{
    for (uint32_t i = 0; i < module->export_count; i++) {
        if (name_is(module->exports[i].name, name, length)) {
            *ret_number = i;
            return &module->exports[i];
        }
    }
    return NULL;
}

const struct tf_test_export *spec_find_export(const struct spec_instance *instance, const char *name, size_t length)
{
    uint32_t number;
    if (instance->test == NULL || find_source_export(instance->wasm, name, length, &number) == NULL)
        return NULL;
    return &instance->test->exports[number];
}

/* ---- linking ---- */

static bool same_type(const struct tf_wasm_func_type *a, const struct tf_wasm_func_type *b)
{
    return a->param_count == b->param_count && a->result_count == b->result_count &&
           (a->param_count == 0 || memcmp(a->params, b->params, a->param_count) == 0) &&
           (a->result_count == 0 || memcmp(a->results, b->results, a->result_count) == 0);
}

static bool links_to_spectest(const struct tf_wasm_import *import, const struct tf_wasm_func_type *type)
{
    static const struct {
        const char *name;
        uint32_t count;
        uint8_t types[2];
    } functions[] = {
        {"print", 0, {0}},
        {"print_i32", 1, {TF_WASM_I32}},
        {"print_i64", 1, {TF_WASM_I64}},
        {"print_f32", 1, {TF_WASM_F32}},
        {"print_f64", 1, {TF_WASM_F64}},
        {"print_i32_f32", 2, {TF_WASM_I32, TF_WASM_F32}},
        {"print_f64_f64", 2, {TF_WASM_F64, TF_WASM_F64}},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        struct tf_wasm_func_type const offered = {.param_count = functions[i].count, .params = functions[i].types};
        if (name_is(import->name, functions[i].name, strlen(functions[i].name)))
            return same_type(type, &offered);
    }
    return false;
}

/* The instance that is registered by the name. */
static struct spec_instance *find_registered(const struct spec_store *store, struct tf_wasm_bytes name)
{
    for (unsigned i = 0; i < store->registration_count; i++)
        if (name_is(name, store->registrations[i].name, strlen(store->registrations[i].name)))
            return store->registrations[i].instance;
    return NULL;
}

static bool link_import(const struct spec_store *store, const struct tf_wasm_module *wasm, uint32_t number,
                        struct spec_import *ret_link)
{
    const struct tf_wasm_import *const import = &wasm->imports[number];
    const struct tf_wasm_func_type *const type = &wasm->types[import->index];
    struct spec_instance *const instance = find_registered(store, import->module);
    uint32_t export_number;
    *ret_link = (struct spec_import){.type = type, .instance = instance};
    if (instance == NULL)
        return name_is(import->module, "spectest", 8) && links_to_spectest(import, type);
    const struct tf_wasm_export *const export =
        instance->state != SPEC_LIVE ? NULL
                                     : find_source_export(instance->wasm, (const char *)import->name.bytes,
                                                          import->name.length, &export_number);
    if (export == NULL || export->kind != TF_WASM_FUNC ||
        !same_type(type, &instance->wasm->types[instance->wasm->func_types[export->index]]))
        return false;
    ret_link->export = &instance->test->exports[export_number];
    return true;
}

/* The module is refused. What it would have shared with others is no longer what the suite believes it to be. */
static void mark_shared(struct spec_store *store, const struct tf_wasm_module *refused)
{
    for (uint32_t i = 0; i < refused->import_count; i++) {
        struct spec_instance *const from = find_registered(store, refused->imports[i].module);
        if (from != NULL && refused->imports[i].kind != TF_WASM_FUNC)
            from->is_shared = true;
    }
    /* An instance links to older ones only, and the newest come first: from the end, one pass would do; so do as many
     * passes as there are instances, whatever the order. */
    for (struct spec_instance *pass = store->instances; pass != NULL; pass = pass->next)
        for (struct spec_instance *at = store->instances; at != NULL; at = at->next)
            for (uint32_t i = 0; i < SPEC_IMPORTS_MAX; i++)
                if (at->imports[i].instance != NULL && at->imports[i].instance->is_shared)
                    at->is_shared = true;
}

static bool link_all(const struct spec_store *store, struct spec_instance *instance)
{
    for (uint32_t i = 0; i < instance->wasm->import_count; i++)
        if (!link_import(store, instance->wasm, i, &instance->imports[i]))
            return false;
    return true;
}

static bool imports_functions_only(const struct tf_wasm_module *wasm)
{
    for (uint32_t i = 0; i < wasm->import_count; i++)
        if (wasm->imports[i].kind != TF_WASM_FUNC)
            return false;
    return true;
}

/* ---- loading and starting ---- */

static int load(struct spec_store *store, struct spec_instance *instance, struct tf_error *error)
{
    char key[TF_HASH_HEX_BYTES];
    struct tf_cache_entry entry;
    int code = spec_build(store->builder, &instance->source, key, error);
    if (code != 0)
        return code;
    code = tf_cache_get(store->builder->cache, key, &entry, error);
    if (code != 0)
        return code;
    code = tf_object_open(&entry, &instance->object, error);
    instance->test = instance->object.symbol;
    if (code == 0 && (instance->object.symbol_bytes < sizeof(*instance->test) ||
                      instance->test->module.struct_bytes != sizeof(*instance->test) ||
                      instance->test->export_count != instance->wasm->export_count))
        code = tf_error_set(error, TF_ERR_CORRUPT, "the artifact's descriptor is not one of the test world");
    if (code == 0) {
        instance->abi = instance->test->module;
        instance->abi.run = spec_enter;
        uint64_t const image_bytes = entry.manifest.image_bytes;
        void *const image =
            image_bytes > 0 ? mmap(NULL, image_bytes, PROT_READ, MAP_PRIVATE, entry.image_fd, 0) : NULL;
        struct tf_function_source const source = {
            .abi = &instance->abi,
            .text_begin = instance->object.text.begin,
            .text_end = instance->object.text.end,
            .image = image,
            .image_bytes = image_bytes,
            .host = instance->host,
        };
        code = image == MAP_FAILED ? tf_error_system(error, "mapping an image")
                                   : tf_function_create(store->runtime, &source, &instance->function, error);
        if (image != NULL && image != MAP_FAILED)
            munmap(image, image_bytes);
    }
    tf_cache_entry_dispose(&entry);
    return code;
}

static int make_host(struct spec_instance *instance, struct tf_error *error)
{
    if (instance->wasm->import_count > SPEC_IMPORTS_MAX)
        return tf_error_set(error, TF_ERR_LIMIT, "more than %d imports", SPEC_IMPORTS_MAX);
    for (uint32_t i = 0; i < instance->wasm->import_count; i++) {
        const struct tf_wasm_func_type *const type = instance->imports[i].type;
        /* What host_stubs.S passes on lies in registers: not more parameters than those, and no structs. */
        if (type->param_count > 5)
            return tf_error_set(error, TF_ERR_LIMIT, "import %u has more than 5 parameters", i);
        for (uint32_t k = 0; k < type->param_count + type->result_count; k++)
            if ((k < type->param_count ? type->params[k] : type->results[k - type->param_count]) == TF_WASM_FUNCREF)
                return tf_error_set(error, TF_ERR_LIMIT, "import %u passes a funcref", i);
    }
    instance->host = calloc(1, sizeof(*instance->host) + SPEC_IMPORTS_MAX * sizeof(instance->host->rows[0]));
    if (instance->host == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a table of host functions");
    instance->host->memory_grow = tf_guest_memory_grow;
    memcpy(instance->host->rows, spec_stubs, sizeof(spec_stubs));
    return 0;
}

/* The compiler says which import it is, and what. The world that tenants are judged by says it by name. */
static bool is_refused_by_name(const struct spec_store *store, const struct spec_instance *instance, int code,
                               const struct tf_error *error)
{
    static const char *const kinds[] = {"func", "table", "memory", "global"};
    const struct tf_wasm_import *const imports = instance->wasm->imports;
    struct tf_wasm_module *module = NULL;
    struct tf_error named = {0};
    char text[256];
    uint32_t first = 0;
    while (first < instance->wasm->import_count && imports[first].kind == TF_WASM_FUNC)
        first++;
    snprintf(text, sizeof(text), "import %u is a %s, ", first, kinds[imports[first].kind]);
    if (code != TF_ERR_REFUSED || strncmp(error->text, text, strlen(text)) != 0)
        return false;
    snprintf(text, sizeof(text), "import \"%.*s\".\"%.*s\" (%s", (int)imports[0].module.length,
             (const char *)imports[0].module.bytes, (int)imports[0].name.length, (const char *)imports[0].name.bytes,
             kinds[imports[0].kind]);
    code = tf_wasm_read(instance->source.bytes, instance->source.length, &store->limits, TF_WASM_FEATURE_SIMD, &module,
                        &named);
    if (code == 0)
        code = tf_wasm_judge(module, &store->limits, &named);
    tf_wasm_destroy(&module);
    return code == TF_ERR_REFUSED && strncmp(named.text, text, strlen(text)) == 0;
}

static enum spec_made start(struct spec_store *store, struct spec_instance *instance, enum tf_trap *ret_trap,
                            struct tf_error *error)
{
    int code = make_host(instance, error);
    if (code != 0)
        return SPEC_MADE_NOT;
    code = load(store, instance, error);
    if (code != 0)
        return instance->object.symbol == NULL ? SPEC_MADE_REFUSED : SPEC_MADE_NOT;
    if (tf_guest_start(instance->function, NULL, instance, &instance->guest, error) != 0)
        return SPEC_MADE_NOT;
    int const result = spec_await(instance);
    if (result < 0) {
        tf_error_set(error, TF_ERR_GUEST, "its start neither returned nor trapped");
        return SPEC_MADE_NOT;
    }
    if (result != TF_TRAP_NONE) {
        *ret_trap = (enum tf_trap)result;
        return SPEC_MADE_TRAPPED;
    }
    instance->state = SPEC_LIVE;
    return SPEC_MADE;
}

enum spec_made spec_instantiate(struct spec_store *store, struct tf_buffer *source, struct spec_instance **ret_instance,
                                enum tf_trap *ret_trap, struct tf_error *error)
{
    struct spec_instance *const instance = calloc(1, sizeof(*instance));
    if (instance == NULL)
        abort();
    instance->state = SPEC_BROKEN;
    instance->source = *source;
    *source = (struct tf_buffer){0};
    instance->next = store->instances;
    store->instances = instance;
    *ret_instance = instance;
    int const code = tf_wasm_read(instance->source.bytes, instance->source.length, &store->limits,
                                  TF_WASM_FEATURE_SIMD, &instance->wasm, error);
    if (code != 0)
        return SPEC_MADE_REFUSED;
    if (!imports_functions_only(instance->wasm)) {
        char key[TF_HASH_HEX_BYTES];
        int const refusal = spec_build(store->builder, &instance->source, key, error);
        mark_shared(store, instance->wasm);
        if (is_refused_by_name(store, instance, refusal, error)) {
            instance->state = SPEC_IMPORTS;
            return SPEC_MADE_REFUSED;
        }
        if (refusal == 0)
            tf_error_set(error, TF_ERR_GUEST, "built, although it imports what no world offers");
        return SPEC_MADE_NOT;
    }
    if (!link_all(store, instance))
        return SPEC_MADE_UNLINKABLE;
    return start(store, instance, ret_trap, error);
}

/* ---- the end ---- */

static void dispose(struct spec_instance *instance)
{
    tf_guest_finish(&instance->guest);
    tf_function_destroy(&instance->function);
    tf_object_close(&instance->object);
    tf_wasm_destroy(&instance->wasm);
    tf_buffer_dispose(&instance->source);
    free(instance->host);
    free(instance->name);
    free(instance);
}

void spec_store_clean(struct spec_store *store, bool everything)
{
    struct spec_instance **at = &store->instances;
    while (*at != NULL) {
        struct spec_instance *const instance = *at;
        if (!everything && (instance->name != NULL || instance->is_registered || instance == store->current)) {
            at = &instance->next;
            continue;
        }
        *at = instance->next;
        dispose(instance);
    }
    if (!everything)
        return;
    for (unsigned i = 0; i < store->registration_count; i++)
        free(store->registrations[i].name);
    store->registration_count = 0;
    store->current = NULL;
}
