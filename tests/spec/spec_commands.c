/*
 * The commands of one file, in order, and what counts as passed.
 */
#include "tests/spec/spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- verdicts ---- */

/* Counts a failure that a list gives the reason for. */
static bool is_excused(struct spec_file *file)
{
    for (size_t i = 0; i < file->exception_count; i++) {
        struct spec_exception *const exception = &file->exceptions[i];
        if (exception->line != file->line || (exception->is_shared && !file->addresses_shared))
            continue;
        exception->is_seen = true;
        if (exception->is_shared)
            file->counts.shared++;
        else
            file->counts.different++;
        return true;
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static void fail(struct spec_file *file, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (is_excused(file))
        return;
    file->counts.failed++;
    fprintf(stderr, "%s:%u: %s (%s): %s\n", file->name, file->line, file->type, file->configuration, text);
}

static const char *string_of(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Counts what cannot be asked of a module that is rightly refused. False: the module should be there. */
static bool is_refused(struct spec_file *file, enum spec_state state)
{
    if (state != SPEC_IMPORTS)
        return false;
    file->counts.imports_asked++;
    return true;
}

/* ---- actions ---- */

struct outcome {
    bool is_done; /* else it failed or was skipped, and has been counted */
    int trap;
    const char *results; /* letters */
    union tf_test_value *values;
};

static bool take_arguments(struct spec_file *file, struct spec_instance *instance, const char *letters, json_t *args)
{
    size_t i;
    json_t *arg;
    size_t const count = strcspn(letters, ":");
    if (json_array_size(args) != count) {
        fail(file, "%zu arguments for a function of type %s", json_array_size(args), letters);
        return false;
    }
    json_array_foreach(args, i, arg) {
        char letter;
        if (!spec_value_parse(arg, &letter, &instance->values[i]) || letter != letters[i]) {
            fail(file, "argument %zu is not of type %c", i, letters[i]);
            return false;
        }
    }
    return true;
}

static size_t value_bytes(char letter)
{
    return letter == 'i' || letter == 'f' ? 4 : letter == 'V' ? 16 : letter == 'r' ? TF_ABI_FUNCREF_BYTES : 8;
}

static struct outcome act(struct spec_file *file, json_t *action)
{
    json_t *const field = json_object_get(action, "field");
    const char *const kind = string_of(action, "type");
    struct spec_instance *const instance = spec_find(&file->store, string_of(action, "module"));
    struct outcome outcome = {0};
    if (instance == NULL || kind == NULL || field == NULL) {
        fail(file, "no such module");
        return outcome;
    }
    file->addresses_shared = instance->is_shared;
    if (is_refused(file, instance->state))
        return outcome;
    const struct tf_test_export *const export =
        instance->state == SPEC_LIVE
            ? spec_find_export(instance, json_string_value(field), json_string_length(field))
            : NULL;
    if (export == NULL) {
        fail(file, "%s", instance->state == SPEC_LIVE ? "no such export" : "its module failed");
        return outcome;
    }
    outcome.values = instance->values;
    if (strcmp(kind, "get") == 0 && export->kind == TF_WASM_GLOBAL) {
        memcpy(instance->values, instance->memory + export->instance_offset, value_bytes(export->type[0]));
        outcome.results = export->type;
        outcome.is_done = true;
    } else if (strcmp(kind, "invoke") == 0 && export->kind == TF_WASM_FUNC) {
        if (!take_arguments(file, instance, export->type, json_object_get(action, "args")))
            return outcome;
        outcome.trap = spec_call(instance, export);
        outcome.results = strchr(export->type, ':') + 1;
        outcome.is_done = outcome.trap >= 0;
        if (!outcome.is_done) {
            instance->state = SPEC_BROKEN;
            fail(file, "neither returned nor trapped");
        }
    } else {
        fail(file, "the export is of another kind");
    }
    return outcome;
}

static void run_action(struct spec_file *file, json_t *command)
{
    struct outcome const outcome = act(file, json_object_get(command, "action"));
    if (!outcome.is_done)
        return;
    file->counts.actions++;
    if (outcome.trap != TF_TRAP_NONE)
        fail(file, "trapped: %s", tf_trap_name((enum tf_trap)outcome.trap));
}

static void run_assert_return(struct spec_file *file, json_t *command)
{
    struct outcome const outcome = act(file, json_object_get(command, "action"));
    json_t *const expected = json_object_get(command, "expected");
    json_t *value;
    size_t i;
    char text[256];
    if (!outcome.is_done)
        return;
    if (outcome.trap != TF_TRAP_NONE) {
        fail(file, "trapped: %s", tf_trap_name((enum tf_trap)outcome.trap));
        return;
    }
    if (json_array_size(expected) != strlen(outcome.results)) {
        fail(file, "%zu results of type %s", json_array_size(expected), outcome.results);
        return;
    }
    json_array_foreach(expected, i, value) {
        if (!spec_value_matches(value, outcome.results[i], &outcome.values[i], text, sizeof(text))) {
            fail(file, "result %zu: %s", i, text);
            return;
        }
    }
    file->counts.passed++;
}

static void run_assert_trap(struct spec_file *file, json_t *command)
{
    struct outcome const outcome = act(file, json_object_get(command, "action"));
    const char *const text = string_of(command, "text");
    if (!outcome.is_done)
        return;
    if (outcome.trap == TF_TRAP_NONE)
        fail(file, "returned, but \"%s\" was expected", text);
    else if (!spec_trap_matches(text, (enum tf_trap)outcome.trap))
        fail(file, "trapped: %s, but \"%s\" was expected", tf_trap_name((enum tf_trap)outcome.trap), text);
    else
        file->counts.passed++;
}

/* ---- modules ---- */

static bool read_module(struct spec_file *file, json_t *command, struct tf_buffer *source)
{
    const char *const name = string_of(command, "filename");
    struct tf_error error;
    tf_buffer_init(source, SPEC_MODULE_BYTES_MAX);
    if (name != NULL && tf_file_read(file->folder_fd, name, source, &error) == 0)
        return true;
    fail(file, "%s cannot be read", name != NULL ? name : "a module without a name");
    return false;
}

/* Makes the instance; NULL: no file. */
static struct spec_instance *make(struct spec_file *file, json_t *command, enum spec_made *ret_made,
                                  enum tf_trap *ret_trap, struct tf_error *error)
{
    struct spec_instance *instance = NULL;
    struct tf_buffer source;
    *error = (struct tf_error){0};
    if (read_module(file, command, &source))
        *ret_made = spec_instantiate(&file->store, &source, &instance, ret_trap, error);
    tf_buffer_dispose(&source);
    return instance;
}

static void run_module(struct spec_file *file, json_t *command)
{
    const char *const name = string_of(command, "name");
    enum spec_made made;
    enum tf_trap trap;
    struct tf_error error;
    file->store.current = NULL;
    spec_store_clean(&file->store, false);
    struct spec_instance *const instance = make(file, command, &made, &trap, &error);
    if (instance == NULL)
        return;
    file->store.current = instance;
    if (name != NULL) {
        struct spec_instance *const before = spec_find(&file->store, name);
        if (before != NULL) {
            free(before->name);
            before->name = NULL;
        }
        instance->name = strdup(name);
    }
    if (instance->state == SPEC_IMPORTS)
        file->counts.imports_refused++;
    else if (made == SPEC_MADE)
        file->counts.modules++;
    else if (made == SPEC_MADE_UNLINKABLE)
        fail(file, "cannot be linked");
    else if (made == SPEC_MADE_TRAPPED)
        fail(file, "its start trapped: %s", tf_trap_name(trap));
    else
        fail(file, "%s", error.text);
}

static void run_register(struct spec_file *file, json_t *command)
{
    const char *const as = string_of(command, "as");
    struct spec_instance *const instance = spec_find(&file->store, string_of(command, "name"));
    if (instance == NULL || as == NULL || spec_register(&file->store, as, instance) != 0)
        fail(file, "cannot be registered");
}

/* A module that must not start: refused for its imports, or in the way the suite says. */
static void run_assert_unusable(struct spec_file *file, json_t *command)
{
    bool const is_linking = strcmp(file->type, "assert_unlinkable") == 0;
    const char *const text = string_of(command, "text");
    struct spec_instance *const current = file->store.current;
    enum spec_made made;
    enum tf_trap trap = TF_TRAP_NONE;
    struct tf_error error;
    struct spec_instance *const instance = make(file, command, &made, &trap, &error);
    if (instance == NULL)
        return;
    if (instance->state == SPEC_IMPORTS || (is_linking && made == SPEC_MADE_UNLINKABLE) ||
             (!is_linking && made == SPEC_MADE_TRAPPED && spec_trap_matches(text, trap)) ||
             (!is_linking && made == SPEC_MADE_REFUSED && error.code == TF_ERR_REFUSED &&
              strstr(error.text, "could never start") != NULL && strstr(text, "out of bounds") != NULL))
        file->counts.passed++;
    else
        fail(file, "\"%s\" was expected, but: %s %s", text, made == SPEC_MADE ? "it started" : error.text,
             made == SPEC_MADE_TRAPPED ? tf_trap_name(trap) : "");
    file->store.current = current;
    spec_store_clean(&file->store, false);
}

/* Our reader's own verdict: nothing else looks at these bytes. */
static void run_assert_refused(struct spec_file *file, json_t *command)
{
    const char *const module_type = string_of(command, "module_type");
    struct tf_wasm_module *module = NULL;
    struct tf_buffer source;
    struct tf_error error = {0};
    if (module_type != NULL && strcmp(module_type, "binary") != 0) {
        file->counts.text_skipped++;
        return;
    }
    if (read_module(file, command, &source)) {
        int const code = tf_wasm_read(source.bytes, source.length, &file->store.limits, TF_WASM_FEATURE_SIMD, &module,
                                      &error);
        if (code == TF_ERR_MALFORMED || code == TF_ERR_INVALID || code == TF_ERR_REFUSED)
            file->counts.passed++;
        else
            fail(file, "\"%s\" was expected, but: %s", string_of(command, "text"), code == 0 ? "accepted" : error.text);
    }
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

/* ---- all ---- */

void spec_run_commands(struct spec_file *file, json_t *commands)
{
    static const struct {
        const char *type;
        void (*run)(struct spec_file *file, json_t *command);
    } kinds[] = {
        {"module", run_module},
        {"register", run_register},
        {"action", run_action},
        {"assert_return", run_assert_return},
        {"assert_trap", run_assert_trap},
        {"assert_exhaustion", run_assert_trap},
        {"assert_unlinkable", run_assert_unusable},
        {"assert_uninstantiable", run_assert_unusable},
        {"assert_invalid", run_assert_refused},
        {"assert_malformed", run_assert_refused},
    };
    size_t index;
    json_t *command;
    json_array_foreach(commands, index, command) {
        size_t i = 0;
        file->type = string_of(command, "type");
        file->line = (unsigned)json_integer_value(json_object_get(command, "line"));
        file->addresses_shared = false;
        while (file->type != NULL && i < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[i].type, file->type) != 0)
            i++;
        if (file->type == NULL || i == sizeof(kinds) / sizeof(kinds[0]))
            fail(file, "unknown command");
        else
            kinds[i].run(file, command);
    }
}
