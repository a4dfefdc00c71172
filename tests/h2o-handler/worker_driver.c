/*
 * One worker process, with the test in the builder's and supervisor's place.
 *
 *     worker_driver ROOT CACHE PORT [LIMIT=VALUE]…
 *
 * Commands on standard input, each answered by a line:
 *     put OBJECT          stores an artifact, answers its key
 *     publish GENERATION  then lines "site NAME", "function STATE KEY PATH", and "." at the end; answers "ok"
 *     ack                 the generation that the worker acknowledged
 *     pid                 the worker's
 *     stop                asks it to stop, answers its wait status
 * The end of the input kills it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/cache.h"
#include "h2o-handler/worker.h"
#include "sites/routes.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

static struct tf_worker_config config;
static struct tf_shared_state *state;
static struct tf_shared_acks *acks;
static struct tf_cache *cache;
static int routes_folder, stop_writer;
static pid_t worker;

_Noreturn static void fail(const char *what, const char *why)
{
    fprintf(stderr, "worker_driver: %s: %s\n", what, why);
    if (worker > 0)
        kill(worker, SIGKILL);
    exit(1);
}

static void check(int result, const struct tf_error *error, const char *what)
{
    if (result != 0)
        fail(what, error->text);
}

static void set_limit(const char *text)
{
    const char *const sign = strchr(text, '=');
    if (sign == NULL)
        fail(text, "not LIMIT=VALUE");
#define X(name, initial, least, most, unit, what)                                                                      \
    if (strncmp(text, #name "=", sizeof(#name)) == 0) {                                                                \
        config.limits.name = strtoull(sign + 1, NULL, 10);                                                             \
        return;                                                                                                        \
    }
    TF_LIMIT_ROWS(X)
#undef X
    fail(text, "no such limit");
}

static int listen_on(const char *port)
{
    struct sockaddr_in const address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                        .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int const on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 511) != 0)
        fail("listen", strerror(errno));
    return fd;
}

static void *share(size_t bytes, int *ret_fd)
{
    *ret_fd = memfd_create("shared", MFD_CLOEXEC);
    if (*ret_fd == -1 || ftruncate(*ret_fd, (off_t)bytes) != 0)
        fail("memfd", strerror(errno));
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap", strerror(errno));
    return memory;
}

static void open_cache(const char *folder)
{
    struct tf_error error;
    check(tf_cache_open(folder, TF_CACHE_WRITE, &cache, &error), &error, "cache");
    char id[TF_BUILD_ID_BYTES], path[64];
    check(tf_routes_root_id(config.root, id, &error), &error, "root");
    snprintf(path, sizeof(path), "roots/%s", id);
    mkdirat(tf_cache_folder_fd(cache), "roots", 0755);
    mkdirat(tf_cache_folder_fd(cache), path, 0755);
    routes_folder = openat(tf_cache_folder_fd(cache), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (routes_folder == -1)
        fail(path, strerror(errno));
}

static void start_worker(int listener)
{
    int stop[2];
    config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (config.wake_fd == -1 || pipe2(stop, O_CLOEXEC) != 0)
        fail("pipe", strerror(errno));
    config.stop_fd = stop[0];
    stop_writer = stop[1];
    config.listen_fds = &listener;
    config.listen_count = 1;
    worker = fork();
    if (worker == -1)
        fail("fork", strerror(errno));
    if (worker == 0) {
        close(stop_writer);
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct tf_error error = {0};
        int const result = tf_worker_run(&config, &error);
        if (result != 0)
            fprintf(stderr, "worker: %s\n", error.text);
        exit(result == 0 ? 0 : 1);
    }
    close(listener);
    close(stop[0]);
}

static void put_object(const char *path)
{
    struct tf_buffer object;
    struct tf_error error;
    tf_buffer_init(&object, 16 << 20);
    check(tf_file_read(AT_FDCWD, path, &object, &error), &error, path);
    struct tf_manifest manifest = {
        .abi_version = TF_ABI_VERSION,
        .cpu_level = 1,
        .world = TF_WORLD_TERRARIUM,
        .object_bytes = object.length,
        .memory_pages_min = 20,
        .memory_pages_max = 65536,
        .toolchain = "by hand",
    };
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(object.bytes, object.length, digest);
    tf_hash_hex(digest, manifest.object_sha256);
    tf_hash_hex(digest, manifest.key);
    check(tf_cache_put(cache, &manifest, object.bytes, NULL, &error), &error, path);
    tf_buffer_dispose(&object);
    puts(manifest.key);
}

static enum tf_route_state state_named(const char *name)
{
    for (int i = TF_ROUTE_BUILDING; i <= TF_ROUTE_REFUSED; i++) {
        if (strcmp(tf_route_state_name((enum tf_route_state)i), name) == 0)
            return (enum tf_route_state)i;
    }
    fail(name, "no such state");
}

static void publish(uint64_t generation)
{
    struct tf_routes *routes = tf_routes_create(generation);
    struct tf_error error;
    char line[4096], site[1024] = "", state_name[32], key[80], path[1024];
    while (fgets(line, sizeof(line), stdin) != NULL && strcmp(line, ".\n") != 0) {
        if (sscanf(line, "site %1023s", site) == 1) {
            check(tf_routes_add_site(routes, site), &(struct tf_error){.text = "no memory"}, site);
        } else if (sscanf(line, "function %31s %79s %1023s", state_name, key, path) == 3) {
            struct tf_route route = {
                .site = site, .path = path, .state = state_named(state_name), .build_id = "00000000deadbeef"};
            if (strlen(key) == TF_HASH_HEX_BYTES - 1)
                memcpy(route.key, key, sizeof(route.key));
            check(tf_routes_add(routes, &route), &(struct tf_error){.text = "no memory"}, path);
        } else {
            fail(line, "no route");
        }
    }
    check(tf_routes_write(routes, routes_folder, TF_ROUTES_MODE, &error), &error, "routes");
    tf_routes_destroy(&routes);
    atomic_store(&state->generation, generation);
    uint64_t const one = 1;
    if (write(config.wake_fd, &one, sizeof(one)) != sizeof(one))
        fail("eventfd", strerror(errno));
    puts("ok");
}

static void stop_worker(void)
{
    int status = -1;
    close(stop_writer);
    waitpid(worker, &status, 0);
    printf("%d\n", status);
    worker = 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage", "worker_driver ROOT CACHE PORT [LIMIT=VALUE]...");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdin, NULL, _IONBF, 0);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    config = (struct tf_worker_config){.root = argv[1], .cache_folder = argv[2], .limits = TF_LIMITS_DEFAULT};
    for (int i = 4; i < argc; i++)
        set_limit(argv[i]);
    open_cache(config.cache_folder);
    state = share(sizeof(*state), &config.state_fd);
    acks = share(sizeof(*acks), &config.acks_fd);
    start_worker(listen_on(argv[3]));

    char line[4096];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "put ", 4) == 0)
            put_object(line + 4);
        else if (strncmp(line, "publish ", 8) == 0)
            publish(strtoull(line + 8, NULL, 10));
        else if (strcmp(line, "ack") == 0)
            printf("%llu\n", (unsigned long long)atomic_load(&acks->generation[0]));
        else if (strcmp(line, "pid") == 0)
            printf("%d\n", (int)worker);
        else if (strcmp(line, "stop") == 0)
            stop_worker();
        else
            fail(line, "no such command");
    }
    if (worker > 0) {
        kill(worker, SIGKILL);
        waitpid(worker, NULL, 0);
    }
    return 0;
}
