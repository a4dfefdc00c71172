/*
 * QuickJS as a function: evaluates the request's body as JavaScript, and answers with the value as text. Nothing of
 * WASI is imported: what of the C library would ask the system, is answered here with "not supported".
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#include <quickjs.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) name
void IMPORT(hostcall_init_mm)(void *(*allocate)(size_t), void (*release)(void *));
void IMPORT(hostcall_req_get_body)(uint8_t **ptr, size_t *length, int32_t request);
int32_t IMPORT(hostcall_resp_set_body)(int32_t response, const void *body, size_t length);

static const char version[] = VERSION_TEXT;

__attribute__((export_name("run"))) void run(void)
{
    uint8_t *body = NULL;
    size_t length = 0, text_length = 0;
    hostcall_init_mm(malloc, free);
    hostcall_req_get_body(&body, &length, 0);
    if (length == 0) {
        hostcall_resp_set_body(0, version, strlen(version));
        return;
    }
    JSRuntime *const runtime = JS_NewRuntime();
    JSContext *const context = JS_NewContext(runtime);
    char *const source = malloc(length + 1);
    memcpy(source, body, length);
    source[length] = 0;
    JSValue const value = JS_Eval(context, source, length, "body", JS_EVAL_TYPE_GLOBAL);
    JSValue const shown = JS_IsException(value) ? JS_GetException(context) : value;
    const char *const text = JS_ToCStringLen(context, &text_length, shown);
    hostcall_resp_set_body(0, text, text_length);
}

#define NONE(name, ...)                                                                                                \
    __wasi_errno_t name(__VA_ARGS__)                                                                                   \
    {                                                                                                                  \
        return __WASI_ERRNO_NOSYS;                                                                                     \
    }
NONE(__wasi_clock_time_get, __wasi_clockid_t id, __wasi_timestamp_t precision, __wasi_timestamp_t *time)
NONE(__wasi_clock_res_get, __wasi_clockid_t id, __wasi_timestamp_t *time)
NONE(__wasi_fd_close, __wasi_fd_t fd)
NONE(__wasi_fd_read, __wasi_fd_t fd, const __wasi_iovec_t *list, size_t count, __wasi_size_t *size)
NONE(__wasi_fd_write, __wasi_fd_t fd, const __wasi_ciovec_t *list, size_t count, __wasi_size_t *size)
NONE(__wasi_fd_seek, __wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence, __wasi_filesize_t *size)
NONE(__wasi_fd_fdstat_get, __wasi_fd_t fd, __wasi_fdstat_t *status)
NONE(__wasi_fd_fdstat_set_flags, __wasi_fd_t fd, __wasi_fdflags_t flags)
NONE(__wasi_fd_prestat_get, __wasi_fd_t fd, __wasi_prestat_t *status)
NONE(__wasi_fd_prestat_dir_name, __wasi_fd_t fd, uint8_t *path, __wasi_size_t length)
NONE(__wasi_environ_get, uint8_t **list, uint8_t *text)
NONE(__wasi_environ_sizes_get, __wasi_size_t *count, __wasi_size_t *size)
NONE(__wasi_poll_oneoff, const __wasi_subscription_t *in, __wasi_event_t *out, __wasi_size_t count,
     __wasi_size_t *events)

_Noreturn void __wasi_proc_exit(__wasi_exitcode_t code)
{
    __builtin_trap();
}
