/*
 * Rules of access and paths: the first byte says what the rest is. A .kbp_config: whatever is accepted survives the
 * route table, and no longer path gets more than a rule says. Lines of a route table. A path of a request and one of
 * a pattern.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "h2o-handler/encoding.h"
#include "h2o-handler/password.h"
#include "h2o-handler/target.h"
#include "sites/kbp_config.h"
#include "sites/patterns.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sites/access_lines.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void judge(const struct tf_access *access)
{
    static const char *const paths[] = {"", "a", "a/b", "A//B/c", "secret/x.wasm", "/", "a/b/c/d/e/f"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        for (uint32_t user = 0; user < 3; user++) {
            struct tf_access_verdict verdict = tf_access_begin();
            tf_access_narrow_function(&verdict, access, user, paths[i], strlen(paths[i]));
            uint8_t const before = verdict.anonymous;
            tf_access_narrow_rest(&verdict, access, user, paths[i], strlen(paths[i]), "/a/%62", 6);
            require((verdict.anonymous & ~before) == 0 && (verdict.anonymous & ~verdict.user) == 0);
            require((verdict.user & ~verdict.possible) == 0);
        }
    }
}

static void fuzz_config(const uint8_t *bytes, size_t length)
{
    static struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_access *access = NULL;
    struct tf_error error = {0};
    if (tf_kbp_config_parse(bytes, length, &limits, &access, &error) != TF_ACCESS_RULES) {
        require(access == NULL && error.text[0] != '\0');
        return;
    }
    judge(access);
    struct tf_buffer first, second;
    tf_buffer_init(&first, 64u << 20);
    tf_buffer_init(&second, 64u << 20);
    tf_access_write(access, &first);
    tf_buffer_append(&second, first.bytes, first.length);
    struct tf_access *copy = read_lines((char *)second.bytes);
    require(copy != NULL);
    tf_buffer_clear(&second);
    tf_access_write(copy, &second);
    require(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0);
    tf_buffer_dispose(&first);
    tf_buffer_dispose(&second);
    tf_access_destroy(&copy);
    tf_access_destroy(&access);
}

static void fuzz_lines(const uint8_t *bytes, size_t length)
{
    char *const text = malloc(length + 1);
    memcpy(text, bytes, length);
    text[length] = '\0';
    struct tf_access *access = read_lines(text);
    if (access != NULL)
        judge(access);
    tf_access_destroy(&access);
    free(text);
}

static const struct tf_route *look_up(void *context, const char *path, size_t length)
{
    static const struct tf_route route = {.site = "s", .path = "fn.wasm", .state = TF_ROUTE_LIVE};
    (void)context;
    return length > 0 && path[0] == 'f' ? &route : NULL;
}

/* Whatever the bytes: what comes out is one clean spelling, below the site, with nothing hidden in it. */
static void fuzz_path(const uint8_t *bytes, size_t length)
{
    struct tf_target target;
    struct tf_parameters parameters;
    tf_target_resolve((const char *)bytes, length, look_up, NULL, &target);
    require(target.path_length < sizeof(target.path) && target.path[target.path_length] == '\0');
    if (target.kind == TF_TARGET_FUNCTION)
        require(target.script_bytes <= length && target.route != NULL);
    if (target.kind == TF_TARGET_FILE) {
        require(strlen(target.path) == target.path_length && target.path[0] != '/' && target.path[0] != '.');
        require(strstr(target.path, "//") == NULL && strstr(target.path, "/.") == NULL);
        require(strchr(target.path, '\\') == NULL && target.path[target.path_length - 1] != '/');
        require(target.folder_length <= target.path_length);
    }
    const uint8_t *const middle = length > 0 ? memchr(bytes, '|', length) : NULL;
    if (middle != NULL && tf_pattern_is((const char *)bytes, (size_t)(middle - bytes))) {
        size_t const rest = length - (size_t)(middle - bytes) - 1;
        if (tf_pattern_fits((const char *)bytes, (size_t)(middle - bytes), (const char *)middle + 1, rest, &parameters))
            require(parameters.count > 0 && parameters.count <= TF_PATTERN_PARAMETERS);
        for (size_t i = 0; i < parameters.count; i++)
            require(parameters.entries[i].value_length > 0 && parameters.entries[i].value_length <= rest);
    }
}

static void fuzz_headers(const uint8_t *bytes, size_t length)
{
    struct tf_credentials credentials;
    if (tf_credentials_parse((const char *)bytes, length, &credentials))
        require(strlen(credentials.name) == credentials.name_length);
    require(tf_encodings_accepted((const char *)bytes, length) <= 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    switch (length > 0 ? bytes[0] : 0) {
    case 'c':
        fuzz_config(bytes + 1, length - 1);
        break;
    case 'l':
        fuzz_lines(bytes + 1, length - 1);
        break;
    case 'p':
        fuzz_path(bytes + 1, length - 1);
        break;
    case 'h':
        fuzz_headers(bytes + 1, length - 1);
        break;
    default:
        break;
    }
    return 0;
}
