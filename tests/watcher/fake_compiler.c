/*
 * A compiler for tests: no module is compiled, the source says what shall happen.
 *
 *     ok:…            the artifact's object is the source itself
 *     bad:…           does not validate
 *     gate:PATH …     as ok, but the build ends only once PATH exists
 *     tier:PATH …     goes live on the fast tier; the optimised build ends only once PATH exists, or when cancelled
 *     over:…          as tier, but the optimised build is over its budget
 *     dies:…          as tier, but the tool of the optimised build dies
 *
 * Every build writes the first line of its source to the file that TF_FAKE_LOG names.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "compiler/compiler.h"
#include <terrafirma/abi.h>

struct tf_compiler {
    char fingerprint[TF_HASH_HEX_BYTES], budget[TF_HASH_HEX_BYTES];
};

int tf_compiler_create(const struct tf_compiler_config *config, struct tf_compiler **ret_compiler,
                       struct tf_error *error)
{
    (void)config;
    (void)error;
    struct tf_compiler *compiler = calloc(1, sizeof(*compiler));
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes("fake", 4, digest);
    tf_hash_hex(digest, compiler->fingerprint);
    digest[0] ^= 0xff;
    tf_hash_hex(digest, compiler->budget);
    *ret_compiler = compiler;
    return TF_OK;
}

void tf_compiler_destroy(struct tf_compiler **compiler)
{
    free(*compiler);
    *compiler = NULL;
}

const char *tf_compiler_identity(const struct tf_compiler *compiler)
{
    (void)compiler;
    return "fake";
}

const char *tf_compiler_fingerprint(const struct tf_compiler *compiler)
{
    return compiler->fingerprint;
}

const char *tf_compiler_budget_fingerprint(const struct tf_compiler *compiler)
{
    return compiler->budget;
}

void tf_compiler_prepare(struct tf_compiler *compiler)
{
    (void)compiler;
}

bool tf_compiler_is_prepared(struct tf_compiler *compiler)
{
    (void)compiler;
    return true;
}

bool tf_compiler_has_tier(const struct tf_compiler *compiler, enum tf_tier tier)
{
    (void)compiler;
    (void)tier;
    return true;
}

const char *tf_tier_name(enum tf_tier tier)
{
    return tier == TF_TIER_FAST ? "fast" : "optimised";
}

/* False: cancelled. */
static bool wait_for_gate(const char *source, const char *format, const int *cancel_fd)
{
    char path[512];
    if (sscanf(source, format, path) != 1)
        return true;
    for (int i = 0; i < 15000 && access(path, F_OK) != 0; i++) {
        struct pollfd item = {.fd = cancel_fd != NULL ? *cancel_fd : -1, .events = POLLIN};
        if (poll(&item, 1, 2) > 0)
            return false;
    }
    return true;
}

static bool has_tiers(const char *text)
{
    return strncmp(text, "tier:", 5) == 0 || strncmp(text, "over:", 5) == 0 || strncmp(text, "dies:", 5) == 0;
}

static void log_build(const char *source)
{
    const char *path = getenv("TF_FAKE_LOG");
    int const fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    char line[256];
    int const length = snprintf(line, sizeof(line), "%.*s\n", (int)strcspn(source, "\n"), source);
    ssize_t const written = write(fd, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
    (void)written;
    close(fd);
}

/* What a build behind a fast one comes to. */
static int optimise(const char *text, const int *cancel_fd, struct tf_error *error)
{
    if (strncmp(text, "over:", 5) == 0)
        return tf_error_set(error, TF_ERR_TIMEOUT, "the tools used more than optimise_cpu_seconds (1)");
    if (strncmp(text, "dies:", 5) == 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "the C compiler died of signal 9");
    if (!wait_for_gate(text, "tier:%511s", cancel_fd)) {
        log_build("cancelled");
        return tf_error_set(error, TF_ERR_CANCELLED, "cancelled");
    }
    return TF_OK;
}

int tf_compiler_build_request(struct tf_compiler *compiler, const struct tf_build_request *request,
                              struct tf_build *ret_build, struct tf_error *error)
{
    const uint8_t *const source = request->source;
    size_t const source_bytes = request->source_bytes;
    (void)compiler;
    char text[512];
    snprintf(text, sizeof(text), "%.*s", (int)(source_bytes < 500 ? source_bytes : 500), (const char *)source);
    bool const is_first = has_tiers(text) && request->aim == TF_BUILD_FIRST;
    if (request->is_background)
        log_build("optimise");
    log_build(text);
    wait_for_gate(text, "gate:%511s", NULL);
    memset(ret_build, 0, sizeof(*ret_build));
    ret_build->cpu_ns = 1000;
    if (has_tiers(text) && !is_first) {
        int const result = optimise(text, request->cancel_fd, error);
        if (result != TF_OK)
            return result;
    }
    if (strncmp(text, "ok:", 3) != 0 && strncmp(text, "gate:", 5) != 0 && !has_tiers(text))
        return tf_error_set(error, TF_ERR_INVALID, "the fake compiler dislikes it");
    ret_build->tier = is_first ? TF_TIER_FAST : TF_TIER_OPTIMISED;
    struct tf_manifest *manifest = &ret_build->manifest;
    manifest->abi_version = TF_ABI_VERSION;
    manifest->cpu_level = 2;
    manifest->flags = is_first ? TF_ABI_FAST_TIER : 0;
    manifest->object_bytes = manifest->canonical_bytes = source_bytes;
    snprintf(manifest->toolchain, sizeof(manifest->toolchain), "fake");
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(source, source_bytes, digest);
    tf_hash_hex(digest, manifest->object_sha256);
    digest[0] ^= is_first ? 0xf0 : 0xff;
    tf_hash_hex(digest, manifest->key);
    if (request->is_known(request->context, manifest->key)) {
        ret_build->known = true;
        return TF_OK;
    }
    tf_buffer_init(&ret_build->object, source_bytes + 1);
    tf_buffer_init(&ret_build->image, 1);
    return tf_buffer_append(&ret_build->object, source, source_bytes);
}

void tf_build_dispose(struct tf_build *build)
{
    tf_buffer_dispose(&build->object);
    tf_buffer_dispose(&build->image);
    free(build->manifest.functions);
    memset(build, 0, sizeof(*build));
}
