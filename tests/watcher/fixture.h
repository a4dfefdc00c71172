/* A builder in a process of its own, watching a temporary root, with the fake compiler. */
#ifndef TF_TESTS_WATCHER_FIXTURE_H
#define TF_TESTS_WATCHER_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sites/routes.h"
#include "watcher/watcher.h"

struct fixture {
    char base[64]; /* temporary folder: root/, cache/, log, builds */
    char root[80], cache[80], builds[80], gate[80];
    struct tf_shared_state *state;
    struct tf_shared_acks *acks;
    int state_fd, acks_fd, wake_fd, stop_pipe[2];
    pid_t builder;
    uid_t user; /* not 0: the builder runs as this user */
    bool leaves_builds; /* it is stopped while it builds, and ends like the real one: by _exit */
    struct tf_limits limits;
    uint32_t jobs, settle_ms, rescan_s, workers;
};

/* Makes the folders, starts nothing. */
void fixture_init(struct fixture *fixture);
void fixture_start(struct fixture *fixture);
/* Stops the builder; returns its exit status, -1: it did not exit by itself. */
int fixture_stop(struct fixture *fixture);
/* Stops it if need be and removes all. */
void fixture_dispose(struct fixture *fixture);

/* Paths are relative to the root; folders are made as needed. */
void put(const struct fixture *fixture, const char *path, const char *text);
/* Written beside the root, then renamed in. */
void move_in(const struct fixture *fixture, const char *path, const char *text);
void put_folder(const struct fixture *fixture, const char *path);
void move(const struct fixture *fixture, const char *from, const char *to);
void delete(const struct fixture *fixture, const char *path);
void open_gate(const struct fixture *fixture);

/* What the newest generation says: "none", "building", "failed", "refused", or of a live one its source,
 * and behind " | " its settings. */
const char *served(const struct fixture *fixture, const char *site, const char *path);
/* Waits until it says so (20 s at most). */
bool wait_served(const struct fixture *fixture, const char *site, const char *path, const char *what);
/* Whether any generation that is still there ever served this text. */
bool was_ever_served(const struct fixture *fixture, const char *site, const char *path, const char *what);
/* Waits until status.json contains the text; of a function where `path` is given. */
bool wait_status(const struct fixture *fixture, const char *path, const char *text);
/* How often the compiler was given a source of this first line; NULL: anything. */
size_t builds(const struct fixture *fixture, const char *first_line);
bool log_has(const struct fixture *fixture, const char *text);
/* Long enough for a builder that would act wrongly to do so: several times settle_ms. */
void give_time(const struct fixture *fixture);
size_t generation_files(const struct fixture *fixture);

#endif
