/* terrafirma run FILE.wasm: one request through compiler, loader and runtime, without a server. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/run_program.h"
#include "cli/run_store.h"
#include "compiler/wasm_names.h"
#include "loader/loader.h"
#include "runtime/runtime.h"
#include "watcher/watcher.h"

#define HEADERS_MAX 200

static const struct tf_option options[] = {
    {"--method", "M", NULL, "request method (default GET, with --data POST)"},
    {"--path", "/P?Q", NULL, "path and query (default / and the file's name)"},
    {"--header", "'N: V'", NULL, "request header; may be repeated; Host sets the authority (default localhost)"},
    {"--data", "@FILE|TEXT", NULL, "request body: a file, @- for standard input, or the text itself"},
    {"--command", NULL, NULL, "a WASI program by itself, no CGI: its output as it is, its exit code as this program's"},
    {"--arg", "TEXT", NULL, "argument of a --command after its name; may be repeated"},
    {"--env", "N=V", NULL, "variable of a WASI program; may be repeated"},
    {"--dir", "HOST::GUEST", NULL, "folder for a WASI program to read, in memory; may be repeated"},
    {"--scratch", "[HOST]::GUEST", NULL, "the same to write to: changes are lost; may be repeated"},
    {"--stdin", "@FILE|TEXT", NULL, "standard input of a --command, as --data"},
    {"--body-only", NULL, NULL, "print the body, without status and headers"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct run {
    const char *file;
    const char *method, *path, *authority;
    char *default_path;
    struct tf_buffer source; /* the module */
    struct tf_buffer body;
    struct tf_header headers[HEADERS_MAX];
    size_t header_count;
    bool body_only;
    struct tf_run_program program;
    struct tf_run_store store;
    uint64_t wake_ns; /* when a parked guest goes on */
    int exit_status;
    struct tf_config config;
};

/* ---- the request ---- */

static struct tf_text text_of(const char *text)
{
    return (struct tf_text){.bytes = text, .length = strlen(text)};
}

static int add_header(struct run *run, const char *line, struct tf_error *error)
{
    const char *colon = strchr(line, ':');
    if (strpbrk(line, "\r\n") != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "--header: a header has no line breaks");
    if (colon == NULL || colon == line)
        return tf_error_set(error, TF_ERR_USAGE, "--header: '%.60s' is not 'Name: value'", line);
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    size_t const length = (size_t)(colon - line);
    if (length == 4 && strncasecmp(line, "host", 4) == 0) {
        run->authority = value;
        return TF_OK;
    }
    if (run->header_count == HEADERS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "more than %d headers", HEADERS_MAX);
    char *name = strndup(line, length);
    if (name == NULL)
        return tf_error_system(error, "no memory");
    for (size_t i = 0; i < length; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    run->headers[run->header_count++] = (struct tf_header){.name = text_of(name), .value = text_of(value)};
    return TF_OK;
}

static int set_body(struct run *run, const char *value, struct tf_error *error)
{
    tf_buffer_dispose(&run->body);
    tf_buffer_init(&run->body, (size_t)run->config.limits.request_body_bytes);
    int result = TF_OK;
    if (strcmp(value, "@-") == 0)
        result = tf_file_read_fd(STDIN_FILENO, &run->body, error);
    else if (value[0] == '@')
        result = tf_file_read(AT_FDCWD, value + 1, &run->body, error);
    else if (tf_buffer_append_text(&run->body, value) != TF_OK)
        result = tf_error_set(error, TF_ERR_LIMIT, "the body is larger than request_body_bytes");
    if (run->method == NULL)
        run->method = "POST";
    return result;
}

/* What a WASI program gets. False: it is none of these options. */
static bool on_program_option(struct run *run, const char *name, const char *value, int *ret_result,
                              struct tf_error *error)
{
    uint64_t const bytes_max = run->config.limits.scratch_bytes;
    *ret_result = TF_OK;
    if (strcmp(name, "--command") == 0)
        run->program.program.is_command = true;
    else if (strcmp(name, "--arg") == 0)
        *ret_result = tf_run_program_argument(&run->program, value, error);
    else if (strcmp(name, "--env") == 0)
        *ret_result = tf_run_program_variable(&run->program, value, error);
    else if (strcmp(name, "--dir") == 0 || strcmp(name, "--scratch") == 0)
        *ret_result = tf_run_program_folder(&run->program, value, name[2] == 's', bytes_max, error);
    else if (strcmp(name, "--stdin") == 0)
        *ret_result = set_body(run, value, error);
    else
        return false;
    return true;
}

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct run *run = context;
    int result;
    if (option == NULL) {
        if (run->file != NULL)
            return tf_error_set(error, TF_ERR_USAGE, "one file at a time");
        run->file = value;
    } else if (on_program_option(run, option->name, value, &result, error)) {
        return result;
    } else if (strcmp(option->name, "--method") == 0) {
        run->method = value;
    } else if (strcmp(option->name, "--path") == 0) {
        if (value[0] != '/')
            return tf_error_set(error, TF_ERR_USAGE, "--path: '%.60s' does not begin with /", value);
        run->path = value;
    } else if (strcmp(option->name, "--header") == 0) {
        return add_header(run, value, error);
    } else if (strcmp(option->name, "--data") == 0) {
        return set_body(run, value, error);
    } else if (strcmp(option->name, "--body-only") == 0) {
        run->body_only = true;
    }
    return TF_OK;
}

/* ---- the answer ---- */

/* The guest's words, on the operator's terminal: without the bytes that would command it. */
static void on_log(void *context, struct tf_guest *guest, const char *kind, struct tf_text text)
{
    const struct run *run = context;
    (void)guest;
    if (run->program.program.is_command && strcmp(kind, "stderr") == 0) {
        fwrite(text.bytes, 1, text.length, stderr);
        return;
    }
    fprintf(stderr, "%s: ", kind);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char const c = (unsigned char)text.bytes[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    if (text.length == 0 || text.bytes[text.length - 1] != '\n')
        fputc('\n', stderr);
}

static int print_response(const struct run *run, const struct tf_response *response, struct tf_error *error)
{
    if (!run->body_only && !run->program.program.is_command) {
        printf("HTTP/1.1 %u\r\n", response->status);
        for (size_t i = 0; i < response->header_count; i++) {
            const struct tf_header *header = &response->headers[i];
            printf("%.*s: %.*s\r\n", (int)header->name.length, header->name.bytes, (int)header->value.length,
                   header->value.bytes);
        }
        printf("content-length: %zu\r\n\r\n", response->body.length);
    }
    fwrite(response->body.bytes, 1, response->body.length, stdout);
    return fflush(stdout) == 0 ? TF_OK : tf_error_system(error, "cannot write the response");
}

/* Of a CGI program: the path up to the name that ends in ".wasm". */
static size_t script_bytes(const char *path)
{
    size_t const end = strcspn(path, "?");
    for (size_t at = 1; at < end; at++) {
        size_t const segment = strcspn(path + at, "/?");
        if (segment > 5 && at + segment <= end && strncmp(path + at + segment - 5, ".wasm", 5) == 0)
            return at + segment;
        at += segment;
    }
    return end;
}

static int describe_trap(const struct run *run, const struct tf_guest *guest, const struct tf_module *module,
                         struct tf_error *error)
{
    int64_t const index = tf_module_function_at(module, tf_guest_trap_address(guest));
    const char *name = tf_trap_name(tf_guest_trap_kind(guest));
    const char *detail = tf_guest_trap_detail(guest);
    if (index < 0)
        return tf_error_set(error, TF_ERR_GUEST, "the guest trapped: %s%s%s", name, detail != NULL ? ": " : "",
                            detail != NULL ? detail : "");
    struct tf_wasm_names *names =
        tf_wasm_names_read(run->source.bytes, run->source.length, run->config.limits.module_functions);
    struct tf_buffer told;
    tf_buffer_init(&told, 8 * TF_WASM_NAME_TOLD_BYTES);
    tf_wasm_names_tell(names, (uint32_t)index, &told);
    tf_error_set(error, TF_ERR_GUEST, "the guest trapped: %s, in function %lld%.*s", name, (long long)index,
                 (int)told.length, told.length > 0 ? (const char *)told.bytes : "");
    tf_buffer_dispose(&told);
    tf_wasm_names_free(&names);
    return TF_ERR_GUEST;
}

/* ---- in place of services ---- */

static uint64_t submit_call(void *context, struct tf_guest *guest, enum tf_service service, uint32_t kind,
                            const struct tf_service_part *parts, size_t part_count)
{
    struct run *run = context;
    (void)guest;
    return tf_run_store_submit(&run->store, service, kind, parts, part_count);
}

static struct tf_service_answer look_at(void *context, struct tf_guest *guest, uint64_t ticket)
{
    struct run *run = context;
    (void)guest;
    return tf_run_store_look(&run->store, ticket);
}

static void release_call(void *context, struct tf_guest *guest, uint64_t ticket)
{
    struct run *run = context;
    (void)guest;
    tf_run_store_release(&run->store, ticket);
}

static void note_time(void *context, struct tf_guest *guest, uint64_t until_ns)
{
    struct run *run = context;
    (void)guest;
    run->wake_ns = until_ns;
}

/* False: its time is over before it would go on. */
static bool sleep_for(const struct run *run, struct tf_guest *guest)
{
    uint64_t const over_ns = tf_guest_started_ns(guest) + run->config.limits.wall_ms * TF_NS_PER_MS;
    uint64_t const until_ns = run->wake_ns < over_ns ? run->wake_ns : over_ns;
    struct timespec const until = {.tv_sec = (time_t)(until_ns / TF_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % TF_NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
    tf_guest_wake(guest);
    return run->wake_ns < over_ns;
}

/* Until it ends. */
static int run_guest(struct run *run, struct tf_guest *guest, const struct tf_module *module,
                     struct tf_error *error)
{
    for (;;) {
        switch (tf_guest_resume(guest)) {
        case TF_OUTCOME_PREEMPTED:
            break;
        case TF_OUTCOME_RETURNED:
            run->exit_status = (int)(tf_guest_exit_code(guest) & 255);
            return print_response(run, tf_guest_response(guest), error);
        case TF_OUTCOME_TRAPPED:
            return describe_trap(run, guest, module, error);
        case TF_OUTCOME_CPU_OVER:
            return tf_error_set(error, TF_ERR_TIMEOUT, "the guest used up its CPU time (cpu_ms = %llu)",
                                (unsigned long long)run->config.limits.cpu_ms);
        case TF_OUTCOME_WALL_OVER:
            return tf_error_set(error, TF_ERR_TIMEOUT, "the guest's time is over (wall_ms = %llu)",
                                (unsigned long long)run->config.limits.wall_ms);
        case TF_OUTCOME_PARKED:
            if (sleep_for(run, guest))
                break;
            return tf_error_set(error, TF_ERR_TIMEOUT, "the guest's time is over (wall_ms = %llu)",
                                (unsigned long long)run->config.limits.wall_ms);
        }
    }
}

static int run_function(struct run *run, struct tf_runtime *runtime, const struct tf_module *module,
                        struct tf_error *error)
{
    struct tf_function_source const source = {.abi = module->abi,
                                              .text_begin = module->text_begin,
                                              .text_end = module->text_end,
                                              .image = module->image,
                                              .image_bytes = module->image_bytes};
    const char *path = run->path != NULL ? run->path : run->default_path;
    struct tf_request const request = {.method = text_of(run->method != NULL ? run->method : "GET"),
                                       .path = text_of(path),
                                       .script_bytes = script_bytes(path),
                                       .authority = text_of(run->authority != NULL ? run->authority : "localhost"),
                                       .remote_address = text_of("127.0.0.1"),
                                       .body = {(const char *)run->body.bytes, run->body.length},
                                       .headers = run->headers,
                                       .header_count = run->header_count,
                                       .program = &run->program.program};
    struct tf_function *function = NULL;
    struct tf_guest *guest = NULL;
    int result = tf_function_create(runtime, &source, &function, error);
    if (result == TF_OK)
        result = tf_guest_start(function, &request, NULL, &guest, error);
    if (result == TF_OK) {
        result = run_guest(run, guest, module, error);
        tf_guest_finish(&guest);
    }
    tf_function_destroy(&function);
    return result;
}

static int run_key(struct run *run, struct tf_cache *cache, const char *key, struct tf_error *error)
{
    struct tf_module *module = NULL;
    struct tf_runtime *runtime = NULL;
    struct tf_runtime_config config = {
        .limits = run->config.limits, .log = on_log, .log_context = run, .slice_us = (uint32_t)run->config.slice_us};
    struct tf_services const services = {.context = run,
                                          .submit = submit_call,
                                          .look = look_at,
                                          .release = release_call,
                                          .arm = note_time};
    config.services = &services;
    config.limits.slots = 1;
    run->store.limits = run->config.limits;
    int result = tf_module_load(cache, key, &module, error);
    if (result == TF_OK)
        result = tf_runtime_create(&config, &runtime, error);
    if (result == TF_OK)
        result = run_function(run, runtime, module, error);
    tf_runtime_destroy(&runtime);
    tf_run_store_dispose(&run->store);
    if (module != NULL)
        tf_module_release(&module);
    return result;
}

static int run_file(struct run *run, struct tf_error *error)
{
    struct tf_tools tools = {0};
    struct tf_built built;
    const char *name = strrchr(run->file, '/');
    if (asprintf(&run->default_path, "/%s", name != NULL ? name + 1 : run->file) < 0) {
        run->default_path = NULL;
        return tf_error_system(error, "no memory");
    }
    run->program.arguments[0] = text_of(run->default_path + 1);
    int result = tf_module_read(run->file, &run->config.limits, &run->source, error);
    if (result == TF_OK)
        result = tf_tools_open(&run->config, &tools, error);
    if (result == TF_OK)
        result = tf_build_wish(tools.compiler, tools.cache, run->source.bytes, run->source.length, TF_WISH_FIRST, NULL,
                               &built, error);
    if (result == TF_OK)
        result = run_key(run, tools.cache, built.key, error);
    tf_buffer_dispose(&run->source);
    tf_tools_close(&tools);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct run run = {0};
    struct tf_error error;
    int status;
    tf_config_init(&run.config);
    tf_run_program_argument(&run.program, "", NULL); /* a command's name; known when all options are read */
    if (tf_command_parse(command, argc, argv, &run.config, on_option, &run, &status)) {
        int result = run.file == NULL ? tf_error_set(&error, TF_ERR_USAGE, "wants a file; see terrafirma run --help")
                                      : tf_config_resolve_cache(&run.config, &error);
        if (result == TF_OK)
            result = run_file(&run, &error);
        status = result == TF_OK ? run.exit_status : tf_fail(run.file != NULL ? run.file : "run", &error);
    }
    for (size_t i = 0; i < run.header_count; i++)
        free((char *)run.headers[i].name.bytes);
    free(run.default_path);
    tf_buffer_dispose(&run.body);
    tf_run_program_dispose(&run.program);
    tf_config_dispose(&run.config);
    return status;
}

const struct tf_command tf_command_run = {
    .name = "run",
    .synopsis = "FILE.wasm [--method M] [--path /P?Q] [--header 'N: V']… [--data @FILE|TEXT]",
    .summary = "answer one request with a function, without a server",
    .details = "Compiles through the cache, loads and runs as a server would, with the same limits, and prints the\n"
               "response. What the function logs goes to standard error. A trap, or a limit, is told there too, with\n"
               "exit status 1. With --command, a WASI program runs as one, and its exit code is this program's.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
