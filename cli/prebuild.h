/* Between the files of `terrafirma prebuild`. */
#ifndef TF_CLI_PREBUILD_H
#define TF_CLI_PREBUILD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"
#include "watcher/watcher.h"

#define TF_PREBUILD_TARGETS_MAX 6 /* three CPU levels, two profiles */

/* What all functions are built for. */
struct tf_prebuild_target {
    uint32_t cpu_level;
    enum tf_profile profile;
    struct tf_compiler *compiler; /* owned */
};

enum tf_prebuild_state { TF_PREBUILD_WAITING, TF_PREBUILD_BUILT, TF_PREBUILD_KNOWN, TF_PREBUILD_FAILED };

/* One function for one target. */
struct tf_prebuild_outcome {
    enum tf_prebuild_state state;
    struct tf_built built;
    char *error; /* of FAILED; owned */
};

struct tf_prebuild_file {
    char *path; /* owned */
    uint64_t bytes;
};

struct tf_prebuild {
    const struct tf_config *config;
    struct tf_cache *cache;
    struct tf_prebuild_target targets[TF_PREBUILD_TARGETS_MAX];
    size_t target_count;
    struct tf_prebuild_file *files; /* by name */
    size_t *order;                  /* indices of files, the largest first */
    size_t count, capacity;
    uint64_t work; /* of all, see tf_prebuild_work */
    size_t jobs;
    bool is_terminal;
    uint64_t start_ns, wall_ns, told_ns;
    pthread_mutex_t lock; /* over all that follows, and the terminal */
    size_t next, done, built, known, failed;
    uint64_t work_done;
    bool is_interrupted;
    struct tf_prebuild_outcome *outcomes; /* of file f for target t at f * target_count + t */
};

/* What a file's build costs, in bytes of module: each costs something whatever its size. */
static inline uint64_t tf_prebuild_work(const struct tf_prebuild_file *file)
{
    return file->bytes + (16u << 10);
}

/* What has been done and how long the rest takes: on a terminal over the line before, else a line now and then.
 * With the lock held. */
void tf_prebuild_progress(struct tf_prebuild *prebuild, const char *file);
/* For people, on standard output. */
void tf_prebuild_print(const struct tf_prebuild *prebuild);
/* As JSON, in one piece. Errors: SYSTEM. */
int tf_prebuild_report(const struct tf_prebuild *prebuild, const char *path, struct tf_error *error);

#endif
