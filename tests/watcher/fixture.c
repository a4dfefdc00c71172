#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define WAIT_S 20

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void *shared_page(size_t bytes, int *ret_fd)
{
    *ret_fd = memfd_create("shared", MFD_CLOEXEC);
    must(*ret_fd >= 0 && ftruncate(*ret_fd, (off_t)bytes) == 0, "memfd");
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
    must(page != MAP_FAILED, "mmap");
    return page;
}

void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    snprintf(fixture->base, sizeof(fixture->base), "/tmp/tf-watcher-XXXXXX");
    must(mkdtemp(fixture->base) != NULL, "mkdtemp");
    must(chmod(fixture->base, 0777) == 0, "chmod"); /* a test runs the builder as another user */
    snprintf(fixture->root, sizeof(fixture->root), "%s/root", fixture->base);
    snprintf(fixture->cache, sizeof(fixture->cache), "%s/cache", fixture->base);
    snprintf(fixture->builds, sizeof(fixture->builds), "%s/builds", fixture->base);
    snprintf(fixture->gate, sizeof(fixture->gate), "%s/gate", fixture->base);
    must(mkdir(fixture->root, 0755) == 0, "mkdir");
    fixture->state = shared_page(sizeof(*fixture->state), &fixture->state_fd);
    fixture->acks = shared_page(sizeof(*fixture->acks), &fixture->acks_fd);
    fixture->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fixture->limits = (struct tf_limits)TF_LIMITS_DEFAULT;
    fixture->jobs = 2;
    fixture->settle_ms = 50;
    fixture->rescan_s = 3600; /* what a test sees must come from events */
    fixture->workers = 1;
    fixture->builder = -1;
}

static int run_builder(struct fixture *fixture)
{
    char log[96];
    snprintf(log, sizeof(log), "%s/log", fixture->base);
    int const fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    must(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0, "log");
    /* Without exec a child inherits what the test has open, and a file that it has open for writing is not stable. */
    for (int i = 3; i < 256; i++) {
        if (i != fixture->state_fd && i != fixture->acks_fd && i != fixture->wake_fd && i != fixture->stop_pipe[0])
            close(i);
    }
    setenv("TF_FAKE_LOG", fixture->builds, 1);
    if (fixture->user != 0)
        must(setgid(fixture->user) == 0 && setuid(fixture->user) == 0, "setuid");
    struct tf_watcher_config const config = {.root = fixture->root,
                                             .cache_folder = fixture->cache,
                                             .limits = fixture->limits,
                                             .jobs = fixture->jobs,
                                             .settle_ms = fixture->settle_ms,
                                             .rescan_s = fixture->rescan_s,
                                             .state_fd = fixture->state_fd,
                                             .acks_fd = fixture->acks_fd,
                                             .wake_fds = &fixture->wake_fd,
                                             .worker_count = fixture->workers,
                                             .stop_fd = fixture->stop_pipe[0]};
    struct tf_error error;
    int const result = tf_watcher_run(&config, &error);
    if (result != TF_OK)
        fprintf(stderr, "%s\n", error.text);
    return -result;
}

void fixture_start(struct fixture *fixture)
{
    must(pipe2(fixture->stop_pipe, O_CLOEXEC) == 0, "pipe");
    fixture->builder = fork();
    must(fixture->builder >= 0, "fork");
    if (fixture->builder == 0) {
        close(fixture->stop_pipe[1]);
        int const status = run_builder(fixture);
        if (fixture->leaves_builds)
            _exit(status);
        exit(status); /* with a look for leaks, where a sanitizer does that */
    }
    close(fixture->stop_pipe[0]);
}

int fixture_stop(struct fixture *fixture)
{
    if (fixture->builder < 0)
        return -1;
    close(fixture->stop_pipe[1]);
    int status = -1;
    for (int i = 0; i < WAIT_S * 100; i++) {
        pid_t const ended = waitpid(fixture->builder, &status, WNOHANG);
        if (ended == fixture->builder) {
            fixture->builder = -1;
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        usleep(10000);
    }
    kill(fixture->builder, SIGKILL);
    waitpid(fixture->builder, &status, 0);
    fixture->builder = -1;
    return -1;
}

void fixture_dispose(struct fixture *fixture)
{
    fixture_stop(fixture);
    struct tf_error error;
    if (tf_file_remove_tree(AT_FDCWD, fixture->base, &error) != TF_OK)
        fprintf(stderr, "%s\n", error.text);
    munmap(fixture->state, sizeof(*fixture->state));
    munmap(fixture->acks, sizeof(*fixture->acks));
    close(fixture->state_fd);
    close(fixture->acks_fd);
    close(fixture->wake_fd);
}

/* ---- changing the root ---- */

static void full_path(const struct fixture *fixture, const char *path, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%s", fixture->root, path);
}

static void make_parents(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    struct tf_error error;
    must(tf_file_make_folders(folder, &error) == TF_OK, folder);
}

static void write_file(const char *path, const char *text)
{
    int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

void put(const struct fixture *fixture, const char *path, const char *text)
{
    char full[4096];
    full_path(fixture, path, full, sizeof(full));
    make_parents(full);
    write_file(full, text);
}

void move_in(const struct fixture *fixture, const char *path, const char *text)
{
    char full[4096], beside[96];
    full_path(fixture, path, full, sizeof(full));
    snprintf(beside, sizeof(beside), "%s/beside", fixture->base);
    make_parents(full);
    write_file(beside, text);
    must(rename(beside, full) == 0, full);
}

void put_folder(const struct fixture *fixture, const char *path)
{
    char full[4096];
    full_path(fixture, path, full, sizeof(full));
    struct tf_error error;
    must(tf_file_make_folders(full, &error) == TF_OK, full);
}

void move(const struct fixture *fixture, const char *from, const char *to)
{
    char full_from[4096], full_to[4096];
    full_path(fixture, from, full_from, sizeof(full_from));
    full_path(fixture, to, full_to, sizeof(full_to));
    must(rename(full_from, full_to) == 0, full_to);
}

void delete(const struct fixture *fixture, const char *path)
{
    char full[4096];
    full_path(fixture, path, full, sizeof(full));
    struct tf_error error;
    must(tf_file_remove_tree(AT_FDCWD, full, &error) == TF_OK, full);
}

void open_gate(const struct fixture *fixture)
{
    write_file(fixture->gate, "");
}

/* ---- looking ---- */

static int open_folder(const struct fixture *fixture)
{
    char id[TF_BUILD_ID_BYTES], path[128];
    struct tf_error error;
    /* The root may have been moved away: its identity is that of its path. */
    static char known_root[80], known_id[TF_BUILD_ID_BYTES];
    if (strcmp(known_root, fixture->root) != 0) {
        must(tf_routes_root_id(fixture->root, id, &error) == TF_OK, "root id");
        snprintf(known_root, sizeof(known_root), "%s", fixture->root);
        memcpy(known_id, id, sizeof(known_id));
    }
    snprintf(path, sizeof(path), "%s/roots/%s", fixture->cache, known_id);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void describe(const struct fixture *fixture, const struct tf_route *route, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s", route == NULL ? "none" : tf_route_state_name(route->state));
    if (route == NULL || route->state != TF_ROUTE_LIVE)
        return;
    struct tf_cache *cache = NULL;
    struct tf_cache_entry entry;
    snprintf(ret_text, size, "live, but not in the cache");
    if (tf_cache_open(fixture->cache, TF_CACHE_READ, &cache, NULL) == TF_OK &&
        tf_cache_get(cache, route->key, &entry, NULL) == TF_OK) {
        ssize_t const got = pread(entry.object_fd, ret_text, size - 1, 0);
        ret_text[got > 0 ? got : 0] = '\0';
        if (route->settings != NULL)
            snprintf(ret_text + strlen(ret_text), size - strlen(ret_text), " | %s", route->settings);
        tf_cache_entry_dispose(&entry);
    }
    tf_cache_close(&cache);
}

const char *served(const struct fixture *fixture, const char *site, const char *path)
{
    static char text[1024];
    snprintf(text, sizeof(text), "no generation");
    int const fd = open_folder(fixture);
    if (fd < 0)
        return text;
    struct tf_routes *routes = NULL;
    struct tf_error error;
    for (;;) {
        uint64_t const generation = atomic_load(&fixture->state->generation);
        if (generation != 0 && tf_routes_read(fd, generation, &routes, &error) == TF_OK)
            describe(fixture, tf_routes_find(routes, site, path, strlen(path)), text, sizeof(text));
        if (routes != NULL || generation == atomic_load(&fixture->state->generation))
            break; /* else its file went while newer ones came */
    }
    tf_routes_destroy(&routes);
    close(fd);
    return text;
}

bool wait_served(const struct fixture *fixture, const char *site, const char *path, const char *what)
{
    uint64_t const end_ns = tf_clock_ns() + WAIT_S * TF_NS_PER_S;
    const char *now;
    while (strcmp(now = served(fixture, site, path), what) != 0) {
        if (tf_clock_ns() > end_ns) {
            fprintf(stderr, "%s of %s: \"%s\", wanted \"%s\"\n", path, site, now, what);
            return false;
        }
        usleep(2000);
    }
    return true;
}

bool was_ever_served(const struct fixture *fixture, const char *site, const char *path, const char *what)
{
    bool found = false;
    int const fd = open_folder(fixture);
    for (uint64_t i = 1; i <= atomic_load(&fixture->state->generation); i++) {
        struct tf_routes *routes = NULL;
        struct tf_error error;
        char text[1024];
        if (tf_routes_read(fd, i, &routes, &error) != TF_OK)
            continue;
        describe(fixture, tf_routes_find(routes, site, path, strlen(path)), text, sizeof(text));
        found |= strcmp(text, what) == 0;
        tf_routes_destroy(&routes);
    }
    close(fd);
    return found;
}

static char *read_text(int folder_fd, const char *name)
{
    struct tf_buffer buffer;
    struct tf_error error;
    tf_buffer_init(&buffer, 64u << 20);
    if (tf_file_read(folder_fd, name, &buffer, &error) != TF_OK || buffer.bytes == NULL) {
        tf_buffer_dispose(&buffer);
        return strdup("");
    }
    return (char *)buffer.bytes;
}

static bool status_has(const char *status, const char *path, const char *text)
{
    json_t *json = json_loads(status, JSON_REJECT_DUPLICATES, NULL);
    bool found = false;
    size_t index;
    json_t *function;
    json_array_foreach(json_object_get(json, "functions"), index, function)
    {
        const char *its_path = json_string_value(json_object_get(function, "path"));
        if (its_path == NULL || strcmp(its_path, path) != 0)
            continue;
        char *dump = json_dumps(function, JSON_COMPACT);
        found |= strstr(dump, text) != NULL;
        free(dump);
    }
    json_decref(json);
    return found;
}

bool wait_status(const struct fixture *fixture, const char *path, const char *text)
{
    uint64_t const end_ns = tf_clock_ns() + WAIT_S * TF_NS_PER_S;
    for (;;) {
        int const fd = open_folder(fixture);
        char *status = fd < 0 ? strdup("") : read_text(fd, "status.json");
        if (fd >= 0)
            close(fd);
        bool const found = status_has(status, path, text);
        bool const is_late = tf_clock_ns() > end_ns;
        if (is_late && !found)
            fprintf(stderr, "%s: no \"%s\" in %.3000s\n", path, text, status);
        free(status);
        if (found || is_late)
            return found;
        usleep(5000);
    }
}

size_t builds(const struct fixture *fixture, const char *first_line)
{
    char *text = read_text(AT_FDCWD, fixture->builds);
    size_t count = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        count += first_line == NULL || strcmp(line, first_line) == 0;
    }
    free(text);
    return count;
}

bool log_has(const struct fixture *fixture, const char *what)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/log", fixture->base);
    char *text = read_text(AT_FDCWD, path);
    bool const found = strstr(text, what) != NULL;
    free(text);
    return found;
}

void give_time(const struct fixture *fixture)
{
    usleep(fixture->settle_ms * 5 * 1000);
}

size_t generation_files(const struct fixture *fixture)
{
    int const fd = open_folder(fixture);
    DIR *list = fdopendir(fd);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
        count += strncmp(entry->d_name, "gen-", 4) == 0;
    closedir(list);
    return count;
}
