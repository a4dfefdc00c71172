/*
 * JavaScript as a CGI program: evaluates a script (SCRIPT of the environment, else /site/app.js), calls the function
 * `answer` that it defines with the request, and writes what that returns as the response.
 *
 *     answer({method, path, query, headers: {name: value}, body}) -> "text" | {status, headers: {name: value}, body}
 *
 * print(…) writes to the function's log. QuickJS itself comes from Debian's source package: see build.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quickjs.h>

extern char **environ;

static char *read_all(FILE *stream, size_t *length)
{
    size_t capacity = 65536;
    char *bytes = malloc(capacity + 1);
    *length = 0;
    while (bytes != NULL) {
        size_t const got = fread(bytes + *length, 1, capacity - *length, stream);
        *length += got;
        if (got == 0)
            break;
        if (*length == capacity) {
            capacity *= 2;
            bytes = realloc(bytes, capacity + 1);
        }
    }
    if (bytes != NULL)
        bytes[*length] = 0;
    return bytes;
}

/* The response when the script failed; the reason is in the function's log. */
static int failed(JSContext *js, const char *what)
{
    JSValue const thrown = JS_GetException(js);
    const char *const text = JS_ToCString(js, thrown);
    JSValue const stack = JS_GetPropertyStr(js, thrown, "stack");
    const char *const place = JS_IsUndefined(stack) ? NULL : JS_ToCString(js, stack);
    fprintf(stderr, "%s: %s\n%s", what, text == NULL ? "out of memory" : text, place == NULL ? "" : place);
    printf("Status: 500\nContent-Type: text/plain\n\nThe script failed.\n");
    return 0;
}

static JSValue print(JSContext *js, JSValueConst self, int count, JSValueConst *values)
{
    (void)self;
    for (int i = 0; i < count; i++) {
        const char *const text = JS_ToCString(js, values[i]);
        if (text == NULL)
            return JS_EXCEPTION;
        fprintf(stderr, "%s%s", i == 0 ? "" : " ", text);
        JS_FreeCString(js, text);
    }
    fputc('\n', stderr);
    return JS_UNDEFINED;
}

static void set(JSContext *js, JSValue object, const char *name, const char *value)
{
    JS_SetPropertyStr(js, object, name, JS_NewString(js, value == NULL ? "" : value));
}

/* HTTP_USER_AGENT=x becomes "user-agent": "x". */
static JSValue headers(JSContext *js)
{
    JSValue const object = JS_NewObject(js);
    for (char **variable = environ; *variable != NULL; variable++) {
        const char *const value = strchr(*variable, '=');
        char name[256];
        size_t length = 0;
        if (strncmp(*variable, "HTTP_", 5) != 0 || value == NULL || (size_t)(value - *variable) > sizeof(name))
            continue;
        for (const char *at = *variable + 5; at < value; at++)
            name[length++] = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
        name[length] = 0;
        set(js, object, name, value + 1);
    }
    return object;
}

static JSValue request(JSContext *js)
{
    JSValue const object = JS_NewObject(js);
    size_t length = 0;
    char *const body = read_all(stdin, &length);
    set(js, object, "method", getenv("REQUEST_METHOD"));
    set(js, object, "path", getenv("PATH_INFO"));
    set(js, object, "query", getenv("QUERY_STRING"));
    JS_SetPropertyStr(js, object, "headers", headers(js));
    JS_SetPropertyStr(js, object, "body", JS_NewStringLen(js, body == NULL ? "" : body, length));
    return object;
}

/* One header line; what would end it early ends it here. */
static void header(JSContext *js, JSValue object, const char *name)
{
    JSValue const value = JS_GetPropertyStr(js, object, name);
    const char *const text = JS_ToCString(js, value);
    if (text != NULL)
        printf("%.*s: %.*s\n", (int)strcspn(name, "\r\n:"), name, (int)strcspn(text, "\r\n"), text);
    JS_FreeCString(js, text);
    JS_FreeValue(js, value);
}

static void respond(JSContext *js, JSValue response)
{
    JSValue const status = JS_IsObject(response) ? JS_GetPropertyStr(js, response, "status") : JS_UNDEFINED;
    JSValue const fields = JS_IsObject(response) ? JS_GetPropertyStr(js, response, "headers") : JS_UNDEFINED;
    JSValue const body = JS_IsObject(response) ? JS_GetPropertyStr(js, response, "body") : JS_DupValue(js, response);
    int32_t code = 200;
    JSPropertyEnum *names = NULL;
    uint32_t count = 0;
    size_t length = 0;
    if (!JS_IsUndefined(status))
        JS_ToInt32(js, &code, status);
    printf("Status: %d\n", (int)code);
    if (JS_IsObject(fields))
        JS_GetOwnPropertyNames(js, &names, &count, fields, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY);
    for (uint32_t i = 0; i < count; i++) {
        const char *const name = JS_AtomToCString(js, names[i].atom);
        if (name != NULL)
            header(js, fields, name);
        JS_FreeCString(js, name);
    }
    if (count == 0)
        printf("Content-Type: text/plain; charset=utf-8\n");
    putchar('\n');
    const char *const text = JS_IsUndefined(body) ? NULL : JS_ToCStringLen(js, &length, body);
    if (text != NULL)
        fwrite(text, 1, length, stdout);
}

int main(void)
{
    const char *const path = getenv("SCRIPT") == NULL ? "/site/app.js" : getenv("SCRIPT");
    JSRuntime *const runtime = JS_NewRuntime();
    JSContext *const js = runtime == NULL ? NULL : JS_NewContext(runtime);
    FILE *const file = fopen(path, "rb");
    size_t length = 0;
    char *const source = file == NULL ? NULL : read_all(file, &length);
    if (js == NULL || source == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        printf("Status: 500\nContent-Type: text/plain\n\nThere is no script.\n");
        return 0;
    }
    JSValue const global = JS_GetGlobalObject(js);
    JS_SetPropertyStr(js, global, "print", JS_NewCFunction(js, print, "print", 1));
    if (JS_IsException(JS_Eval(js, source, length, path, JS_EVAL_TYPE_GLOBAL)))
        return failed(js, "evaluating the script");
    JSValue const answer = JS_GetPropertyStr(js, global, "answer");
    JSValue argument = request(js);
    JSValue const response = JS_Call(js, answer, global, 1, &argument);
    if (JS_IsException(response))
        return failed(js, "calling answer");
    respond(js, response);
    return fflush(stdout) == 0 ? 0 : 1;
}
