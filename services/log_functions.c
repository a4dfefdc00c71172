#include "services/log_functions.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "services/log_file.h"
#include "services/log_line.h"

#define STEM_MOST 200u  /* of a file's name, without suffixes */
#define STEM_KEPT 160u  /* of one that is too long; the hash follows */
#define STEM_HASH_HEX 32

enum { BUCKET_TEXT, BUCKET_FAILURE, BUCKETS };

struct bucket {
    uint64_t bytes; /* that may be written now */
    uint64_t at_ns;
};

struct tf_log_function {
    struct tf_log_text site, function; /* in `names`; what the tree is sorted by */
    struct tf_log_function *newer, *older;
    struct tf_log_function *open_newer, *open_older;
    struct tf_log_file file;
    struct bucket buckets[BUCKETS];
    uint64_t left_out; /* and not yet told */
    char names[];
};

/* ---- who is known ---- */

static int compare_texts(struct tf_log_text a, struct tf_log_text b)
{
    if (a.length != b.length)
        return a.length < b.length ? -1 : 1;
    return a.length > 0 ? memcmp(a.bytes, b.bytes, a.length) : 0;
}

static int compare(const void *left, const void *right)
{
    const struct tf_log_function *const a = left, *const b = right;
    int const by_function = compare_texts(a->function, b->function);
    return by_function != 0 ? by_function : compare_texts(a->site, b->site);
}

static void unlink_known(struct tf_log_functions *functions, struct tf_log_function *known)
{
    *(known->newer != NULL ? &known->newer->older : &functions->newest) = known->older;
    *(known->older != NULL ? &known->older->newer : &functions->oldest) = known->newer;
}

static void link_known(struct tf_log_functions *functions, struct tf_log_function *known)
{
    known->newer = NULL;
    known->older = functions->newest;
    *(functions->newest != NULL ? &functions->newest->newer : &functions->oldest) = known;
    functions->newest = known;
}

static void unlink_open(struct tf_log_functions *functions, struct tf_log_function *known)
{
    *(known->open_newer != NULL ? &known->open_newer->open_older : &functions->open_newest) = known->open_older;
    *(known->open_older != NULL ? &known->open_older->open_newer : &functions->open_oldest) = known->open_newer;
}

static void link_open(struct tf_log_functions *functions, struct tf_log_function *known)
{
    known->open_newer = NULL;
    known->open_older = functions->open_newest;
    *(functions->open_newest != NULL ? &functions->open_newest->open_newer : &functions->open_oldest) = known;
    functions->open_newest = known;
}

static void close_file(struct tf_log_functions *functions, struct tf_log_function *known)
{
    if (known->file.fd < 0)
        return;
    tf_log_file_close(&known->file);
    unlink_open(functions, known);
    functions->counters.open--;
}

static void forget(struct tf_log_functions *functions, struct tf_log_function *known)
{
    close_file(functions, known);
    unlink_known(functions, known);
    tdelete(known, &functions->tree, compare);
    functions->counters.known--;
    free(known);
}

static void tell_left_out(struct tf_log_functions *functions, struct tf_log_function *known, uint64_t time_ns);

static struct tf_log_function *remember(struct tf_log_functions *functions, struct tf_log_text site,
                                        struct tf_log_text function, uint64_t now_ns, uint64_t time_ns)
{
    if (functions->counters.known >= functions->config->functions_known) {
        tell_left_out(functions, functions->oldest, time_ns);
        forget(functions, functions->oldest);
    }
    struct tf_log_function *const known = malloc(sizeof(*known) + site.length + function.length);
    if (known == NULL)
        return NULL;
    struct bucket const full = {functions->config->function_burst_bytes, now_ns};
    *known = (struct tf_log_function){
        .site = {known->names, site.length},
        .function = {known->names + site.length, function.length},
        .file = TF_LOG_FILE_CLOSED,
        .buckets = {full, full},
    };
    memcpy(known->names, site.bytes, site.length);
    memcpy(known->names + site.length, function.bytes, function.length);
    if (tsearch(known, &functions->tree, compare) == NULL) {
        free(known);
        return NULL;
    }
    link_known(functions, known);
    functions->counters.known++;
    return known;
}

static struct tf_log_function *find(struct tf_log_functions *functions, struct tf_log_text site,
                                    struct tf_log_text function, uint64_t now_ns, uint64_t time_ns)
{
    struct tf_log_function const key = {.site = site, .function = function};
    struct tf_log_function *const *const found = tfind(&key, &functions->tree, compare);
    if (found == NULL)
        return remember(functions, site, function, now_ns, time_ns);
    unlink_known(functions, *found);
    link_known(functions, *found);
    return *found;
}

/* ---- files ---- */

static bool stands_as_is(char c, size_t at)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           (c == '.' && at > 0);
}

void tf_log_function_file_name(struct tf_log_text function, char ret_name[TF_LOG_FUNCTION_NAME_BYTES])
{
    char stem[3 * TF_LOG_FUNCTION_BYTES + 1], hex[TF_HASH_HEX_BYTES];
    size_t length = 0, kept = 0; /* `kept`: whole escapes only */
    for (size_t i = 0; i < function.length && i < TF_LOG_FUNCTION_BYTES; i++) {
        if (stands_as_is(function.bytes[i], i))
            stem[length++] = function.bytes[i];
        else
            length += (size_t)snprintf(stem + length, 4, "%%%02X", (unsigned char)function.bytes[i]);
        if (length <= STEM_KEPT)
            kept = length;
    }
    if (length <= STEM_MOST) {
        snprintf(ret_name, TF_LOG_FUNCTION_NAME_BYTES, "%.*s.log", (int)length, stem);
        return;
    }
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(function.bytes, function.length, digest);
    tf_hash_hex(digest, hex);
    snprintf(ret_name, TF_LOG_FUNCTION_NAME_BYTES, "%.*s~%.*s.log", (int)kept, stem, STEM_HASH_HEX, hex);
}

/* A descriptor, or -1. */
static int open_site(const struct tf_log_functions *functions, const struct tf_log_function *known)
{
    char site[TF_LOG_SITE_BYTES + 1];
    snprintf(site, sizeof(site), "%.*s", (int)known->site.length, known->site.bytes);
    if (mkdirat(functions->folder_fd, site, 0750) != 0 && errno != EEXIST)
        return -1;
    return openat(functions->folder_fd, site, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Room in the file for one more line; false: there is no file. */
static bool make_ready(struct tf_log_functions *functions, struct tf_log_function *known, size_t length)
{
    bool const was_open = known->file.fd >= 0;
    uint64_t const most = functions->config->function_bytes;
    char name[TF_LOG_FUNCTION_NAME_BYTES];
    if (was_open && known->file.bytes + length <= most)
        return true;
    if (!was_open && functions->counters.open >= functions->config->functions_open)
        close_file(functions, functions->open_oldest);
    int const site_fd = open_site(functions, known);
    if (site_fd < 0)
        return false;
    tf_log_function_file_name(known->function, name);
    int result = was_open ? 0 : tf_log_file_open(&known->file, site_fd, name);
    if (!was_open && result == 0) {
        functions->files_since += known->file.bytes == 0;
        functions->counters.open++;
        link_open(functions, known);
    }
    if (result == 0 && known->file.bytes > 0 && known->file.bytes + length > most) {
        functions->files_since++;
        result = tf_log_file_rotate(&known->file, site_fd, name, functions->config->function_kept);
        if (result != 0) { /* which closed it */
            unlink_open(functions, known);
            functions->counters.open--;
        }
    }
    close(site_fd);
    return result == 0;
}

static void write_line(struct tf_log_functions *functions, struct tf_log_function *known, const struct tf_buffer *line)
{
    if (!make_ready(functions, known, line->length) ||
        !tf_log_file_append(&known->file, line->bytes, line->length)) {
        functions->counters.lost++;
        return;
    }
    unlink_open(functions, known);
    link_open(functions, known);
    functions->counters.lines++;
    functions->bytes_since += line->length;
}

/* ---- lines ---- */

static void fill(const struct tf_logs_config *config, struct bucket *bucket, uint64_t now_ns)
{
    uint64_t const burst = config->function_burst_bytes, passed_ns = now_ns - bucket->at_ns;
    /* Long enough to be full again; else the product below stays far from 2^64. */
    if (passed_ns / TF_NS_PER_S >= 3600 || config->function_rate_bytes >= burst) {
        if (passed_ns >= TF_NS_PER_S) {
            bucket->bytes = burst;
            bucket->at_ns = now_ns;
        }
        return;
    }
    uint64_t const earned = passed_ns / 1000 * config->function_rate_bytes / 1000000;
    if (earned >= burst - bucket->bytes) {
        bucket->bytes = burst;
        bucket->at_ns = now_ns;
    } else {
        bucket->bytes += earned;
        bucket->at_ns += earned * TF_NS_PER_S / config->function_rate_bytes; /* the rest of a byte is not forgotten */
    }
}

static bool may_write(const struct tf_logs_config *config, struct bucket *bucket, size_t length, uint64_t now_ns)
{
    fill(config, bucket, now_ns);
    if (bucket->bytes < length)
        return false;
    bucket->bytes -= length;
    return true;
}

static void tell_left_out(struct tf_log_functions *functions, struct tf_log_function *known, uint64_t time_ns)
{
    if (known->left_out == 0)
        return;
    struct tf_buffer line;
    tf_buffer_init(&line, TF_LOG_LINE_BYTES_MAX);
    tf_log_line_left_out(time_ns, known->left_out, &line);
    if (!line.failed)
        write_line(functions, known, &line);
    tf_buffer_dispose(&line);
    known->left_out = 0;
}

static void write_limited(struct tf_log_functions *functions, struct tf_log_text site, struct tf_log_text function,
                          int bucket, uint64_t now_ns, uint64_t time_ns)
{
    struct tf_log_function *const known = find(functions, site, function, now_ns, time_ns);
    if (known == NULL || functions->line.failed) {
        functions->counters.lost++;
        return;
    }
    if (!may_write(functions->config, &known->buckets[bucket], functions->line.length, now_ns)) {
        known->left_out++;
        functions->counters.left_out++;
        return;
    }
    tell_left_out(functions, known, time_ns);
    write_line(functions, known, &functions->line);
}

void tf_log_functions_text(struct tf_log_functions *functions, const struct tf_log_guest_text *text, uint32_t worker,
                           uint64_t now_ns)
{
    tf_buffer_clear(&functions->line);
    tf_log_line_text(text, worker, &functions->line);
    write_limited(functions, text->site, text->function, BUCKET_TEXT, now_ns, text->time_ns);
}

void tf_log_functions_failure(struct tf_log_functions *functions, const struct tf_log_failure *failure, uint32_t worker,
                              uint64_t now_ns)
{
    tf_buffer_clear(&functions->line);
    tf_log_line_failure(failure, worker, &functions->line);
    write_limited(functions, failure->site, failure->function, BUCKET_FAILURE, now_ns, failure->time_ns);
}

/* ---- the whole ---- */

int tf_log_functions_init(struct tf_log_functions *functions, const struct tf_logs_config *config, int log_folder_fd,
                          struct tf_error *error)
{
    if (mkdirat(log_folder_fd, "functions", 0750) != 0 && errno != EEXIST)
        return tf_error_system(error, "making the folder of the functions' logs");
    int const folder_fd = openat(log_folder_fd, "functions", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder_fd < 0)
        return tf_error_system(error, "opening the folder of the functions' logs");
    *functions = (struct tf_log_functions){.config = config, .folder_fd = folder_fd};
    tf_buffer_init(&functions->line, TF_LOG_LINE_BYTES_MAX);
    return 0;
}

void tf_log_functions_dispose(struct tf_log_functions *functions)
{
    if (functions->config == NULL)
        return;
    while (functions->oldest != NULL)
        forget(functions, functions->oldest);
    tf_buffer_dispose(&functions->line);
    close(functions->folder_fd);
    *functions = (struct tf_log_functions){0};
}

static void close_all(void *context)
{
    struct tf_log_functions *const functions = context;
    while (functions->open_oldest != NULL)
        close_file(functions, functions->open_oldest);
}

void tf_log_functions_tick(struct tf_log_functions *functions, uint64_t time_ns)
{
    const struct tf_logs_config *const config = functions->config;
    for (struct tf_log_function *known = functions->open_newest, *next; known != NULL; known = next) {
        next = known->open_older;
        if (tf_log_file_is_gone(&known->file))
            close_file(functions, known);
    }
    for (struct tf_log_function *known = functions->newest; known != NULL; known = known->older)
        tell_left_out(functions, known, time_ns);
    if (!functions->is_looked_through || functions->bytes_since > config->functions_bytes / 16 ||
        functions->files_since > config->functions_files / 16) {
        functions->is_looked_through = true;
        functions->bytes_since = functions->files_since = 0;
        functions->counters.removed +=
            tf_log_prune(functions->folder_fd, config->functions_files, config->functions_bytes, close_all, functions);
    }
}
