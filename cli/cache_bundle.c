/* terrafirma cache export and import. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/bundle.h"
#include "cli/cmd_cache.h"

static int wanted_keys(const struct tf_cache_request *request, struct tf_keys *ret_keys, struct tf_error *error)
{
    int result = TF_OK;
    for (size_t i = 0; result == TF_OK && i < request->word_count; i++)
        result = tf_hash_is_hex(request->words[i])
                     ? tf_keys_add(ret_keys, request->words[i], error)
                     : tf_error_set(error, TF_ERR_USAGE, "'%.64s' is not the key of an artifact", request->words[i]);
    tf_keys_sort(ret_keys);
    return result;
}

/* Beside the file until it is whole. */
static int write_file(struct tf_cache *cache, const struct tf_keys *wanted, const char *path,
                      struct tf_bundle_report *report, struct tf_error *error)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory");
    int const fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int result = fd >= 0 ? tf_bundle_write(cache, wanted, fd, report, error)
                         : tf_error_system(error, "cannot write %s", temporary);
    if (result == TF_OK && (fsync(fd) != 0 || rename(temporary, path) != 0))
        result = tf_error_system(error, "cannot write %s", path);
    if (fd >= 0)
        close(fd);
    if (result != TF_OK && fd >= 0)
        unlink(temporary);
    free(temporary);
    return result;
}

int tf_cache_verb_export(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct tf_keys wanted = {0};
    struct tf_bundle_report report;
    if (request->output == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "export wants -o FILE (- is standard output)");
    int result = wanted_keys(request, &wanted, error);
    const struct tf_keys *const keys = request->word_count > 0 ? &wanted : NULL;
    if (result == TF_OK)
        result = strcmp(request->output, "-") == 0 ? tf_bundle_write(cache, keys, STDOUT_FILENO, &report, error)
                                                   : write_file(cache, keys, request->output, &report, error);
    tf_keys_dispose(&wanted);
    if (result == TF_OK)
        fprintf(stderr, "%" PRIu64 " artifacts, %" PRIu64 " entries of the index, %" PRIu64 " bytes uncompressed\n",
                report.artifacts, report.entries, report.plain_bytes);
    return result;
}

int tf_cache_verb_import(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct tf_bundle_report report;
    const char *const path = request->words[0];
    int const fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tf_error_system(error, "cannot read %s", path);
    int const result = tf_bundle_read(cache, fd, &report, error);
    close(fd);
    if (result == TF_OK)
        printf("%" PRIu64 " artifacts, %" PRIu64 " of them known already; %" PRIu64 " entries of the index\n",
               report.artifacts, report.known, report.entries);
    return result;
}
