/* The whole service: rings in, files out. */
#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/services/service.h"

static json_t *metrics_of(const struct service *service)
{
    char *const text = slurp(service->folder.fd, "state/metrics.json");
    json_t *const json = json_loads(text, 0, NULL);
    CHECK(json_is_object(json));
    free(text);
    return json;
}

static long long total(const json_t *json, const char *object, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(json, object), name));
}

static long long of_worker(const json_t *json, size_t worker, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(json_object_get(json, "workers"), worker), name));
}

static void test_all_arrive(void)
{
    struct service service;
    char target[32];
    service_prepare(&service);
    for (int i = 0; i < 1000; i++) {
        snprintf(target, sizeof(target), "/%d", i);
        CHECK(service_put_request(&service, i % SERVICE_RINGS, target));
    }
    CHECK(service_put_text(&service, 1, "x/y.wasm"));
    service_start(&service, NULL);
    service_stop(&service);
    char *const access = slurp(service.folder.fd, "log/access.log");
    CHECK(count_lines(access) == 1000 && strstr(access, "\"target\":\"/999\"") != NULL &&
          strstr(access, "\"worker\":2") != NULL);
    free(access);
    char *const said = slurp(service.folder.fd, "log/functions/a.b/x%2Fy.wasm.log");
    CHECK(strcmp(said, "1970-01-01T00:00:00.000000Z worker 1 debug: x\n") == 0);
    free(said);
    json_t *const json = metrics_of(&service);
    CHECK(total(json, "total", "requests") == 1000 && total(json, "logs", "access_lines") == 1000 &&
          total(json, "logs", "function_lines") == 1 && of_worker(json, 1, "records") == 334 &&
          of_worker(json, 0, "bad") == 0);
    json_decref(json);
    service_remove(&service);
}

/* While it runs, killed in the middle, started again: whole lines, each at most once, the last ones there. */
static void test_killed(void)
{
    struct service service;
    char target[32];
    int written = 0;
    service_prepare(&service);
    for (int round = 0; round < 5; round++) {
        service_start(&service, NULL);
        for (int i = 0; i < 3000; i++) {
            snprintf(target, sizeof(target), "/%d", written);
            written += service_put_request(&service, 0, target);
        }
        if (round < 4) {
            usleep(1000 * (unsigned)round);
            kill(service.pid, SIGKILL);
            waitpid(service.pid, NULL, 0);
            close(service.stop[1]);
        }
    }
    service_stop(&service);
    char *const access = slurp(service.folder.fd, "log/access.log");
    long last = -1;
    for (char *line = access, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        CHECK(end != NULL);
        if (end == NULL)
            break;
        *end = '\0';
        json_t *const json = json_loads(line, 0, NULL);
        const char *const told = json_string_value(json_object_get(json, "target"));
        if (told != NULL) { /* a piece of a line stays behind where it was killed while it wrote */
            long const number = strtol(told + 1, NULL, 10);
            CHECK(number > last);
            last = number;
        }
        json_decref(json);
    }
    CHECK(last == written - 1);
    free(access);
    service_remove(&service);
}

static void test_rotation(void)
{
    struct service service;
    static char target[1500];
    uint64_t sum = 0;
    service_prepare(&service);
    memset(target, '/', sizeof(target) - 1);
    service.config.access_bytes = 131072;
    service.config.access_kept = 3;
    service_start(&service, NULL);
    for (int i = 0; i < 2000; i++) {
        while (!service_put_request(&service, 0, target))
            usleep(1000);
    }
    service_stop(&service);
    static const char *const names[] = {"log/access.log", "log/access.log.1", "log/access.log.2", "log/access.log.3"};
    for (size_t i = 0; i < 4; i++) {
        long long const size = file_size(service.folder.fd, names[i]);
        CHECK_MESSAGE(size > 0 && size <= 131072, "%s: %lld", names[i], size);
        char *const text = slurp(service.folder.fd, names[i]);
        CHECK(size > 0 && text[size - 1] == '\n' && text[0] == '{'); /* no line is torn apart */
        free(text);
        sum += (uint64_t)size;
    }
    CHECK(sum > 200000 && file_size(service.folder.fd, "log/access.log.4") == -1);
    service_remove(&service);
}

/* Every file and folder below the test's own: none but those the service may make. */
static void check_only_logs(int parent_fd, const char *name, int depth)
{
    int const fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *const folder = fdopendir(fd);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *const n = entry->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0)
            continue;
        struct stat status;
        CHECK(fstatat(fd, n, &status, AT_SYMLINK_NOFOLLOW) == 0);
        if (depth < 2) {
            static const char *const known[2][3] = {{"log", "state"}, {"access.log", "functions", "metrics.json"}};
            bool is_known = false;
            for (size_t i = 0; i < 3; i++)
                is_known |= known[depth][i] != NULL && strcmp(n, known[depth][i]) == 0;
            CHECK_MESSAGE(is_known, "%s", n);
        }
        CHECK(depth < 4 && (S_ISDIR(status.st_mode) ? depth < 3 : S_ISREG(status.st_mode)));
        if (S_ISDIR(status.st_mode) && depth < 3)
            check_only_logs(fd, n, depth + 1);
    }
    closedir(folder);
}

/* Records that are nearly right, or not at all, beside honest ones. */
static void test_hostile_records(void)
{
    static const char *const sites[] = {"..", "a.b", "../../x", "/etc", "", "a.b", "_other", "a.b"};
    static const char *const functions[] = {"../../../x.wasm", "f.wasm", "/x.wasm", "a/../../b.wasm", "g.wasm", "x"};
    struct service service;
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    service_prepare(&service);
    service_start(&service, NULL);
    srand(11);
    for (int round = 0; round < 20000; round++) {
        struct tf_log_guest_text const text = {.site = text_of(sites[rand() % 8]),
                                               .function = text_of(functions[rand() % 6]),
                                               .kind = TEXT("debug"),
                                               .text = TEXT("x\n\x1b[2J")};
        size_t const length = tf_log_record_text(record, &text);
        for (int i = rand() % 3; i > 0; i--)
            record[(size_t)rand() % length] = (uint8_t)rand();
        tf_ring_write(&service.rings[0], record, (uint32_t)length);
        for (size_t i = 0; i < 256; i++)
            record[i] = (uint8_t)rand();
        tf_ring_write(&service.rings[1], record, 1 + (uint32_t)rand() % 256);
        if (round % 200 == 0)
            CHECK(service_put_request(&service, 2, "/honest"));
    }
    service_stop(&service);
    json_t *const json = metrics_of(&service);
    CHECK(of_worker(json, 0, "bad") > 0 && of_worker(json, 0, "records") > 0 && of_worker(json, 0, "lies") == 0);
    CHECK(of_worker(json, 1, "bad") > 0 && of_worker(json, 1, "records") == 0);
    CHECK(of_worker(json, 2, "bad") == 0 && of_worker(json, 2, "records") == 100);
    CHECK(total(json, "logs", "function_lines") > 0 && total(json, "logs", "function_lost") == 0);
    json_decref(json);
    check_only_logs(AT_FDCWD, service.folder.path, 0);
    service_remove(&service);
}

/* A worker that was taken over writes what it likes into the shared pages. */
static void test_hostile_pages(void)
{
    struct service service;
    service_prepare(&service);
    service_start(&service, NULL);
    uint8_t *const pages =
        mmap(NULL, 4096 + SERVICE_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, service.ring_fds[0], 0);
    CHECK(pages != MAP_FAILED);
    srand(12);
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 20; i++)
            service_put_text(&service, 0, "f.wasm");
        for (int i = 0; i < 8; i++)
            pages[64 + rand() % 128] = (uint8_t)rand();
        for (int i = 0; i < 1000; i++)
            pages[4096 + (size_t)rand() % SERVICE_RING_BYTES] = (uint8_t)rand();
        if (round % 10 == 0)
            CHECK(service_put_request(&service, 2, "/honest"));
        usleep(100);
    }
    memset(pages + 64, 0x77, 8); /* so much it never wrote; the last word that the service hears from it */
    munmap(pages, 4096 + SERVICE_RING_BYTES);
    service_stop(&service);
    char *const access = slurp(service.folder.fd, "log/access.log");
    CHECK(count_lines(access) == 100);
    free(access);
    json_t *const json = metrics_of(&service);
    CHECK(of_worker(json, 0, "lies") > 0 && of_worker(json, 2, "lies") == 0 && of_worker(json, 2, "records") == 100);
    json_decref(json);
    check_only_logs(AT_FDCWD, service.folder.path, 0);
    service_remove(&service);
}

static void test_drops_are_told(void)
{
    struct service service;
    int dropped = 0;
    service_prepare(&service);
    service.config.access_format = TF_LOGS_OFF;
    for (int i = 0; i < 20000; i++)
        dropped += !service_put_request(&service, 0, "/");
    service_start(&service, NULL);
    service_stop(&service);
    json_t *const json = metrics_of(&service);
    CHECK(dropped > 0 && of_worker(json, 0, "dropped") == dropped &&
          total(json, "total", "requests") == 20000 - dropped && total(json, "logs", "access_lines") == 0);
    CHECK(file_size(service.folder.fd, "log/access.log") == -1);
    json_decref(json);
    service_remove(&service);
}

/* Lines that no file takes are counted; the service goes on. */
static void test_in_the_way(void)
{
    struct service service;
    service_prepare(&service);
    CHECK(mkdirat(service.folder.fd, "log", 0700) == 0 && mkdirat(service.folder.fd, "log/access.log", 0700) == 0);
    CHECK(service_put_request(&service, 0, "/") && service_put_text(&service, 0, "f.wasm"));
    service_start(&service, NULL);
    service_stop(&service);
    json_t *const json = metrics_of(&service);
    CHECK(total(json, "logs", "access_lost") == 1 && total(json, "logs", "function_lines") == 1 &&
          total(json, "total", "requests") == 1);
    json_decref(json);
    service_remove(&service);
}

static void test_refusals(void)
{
    struct service service;
    struct tf_error error;
    service_prepare(&service);
    CHECK(tf_logs_run(&service.config, &error) == TF_ERR_USAGE); /* no stop_fd */
    service.config.stop_fd = 0;
    service.config.access_bytes = 1;
    CHECK(tf_logs_run(&service.config, &error) == TF_ERR_USAGE && strstr(error.text, "access_bytes") != NULL);
    service.config.access_bytes = 1u << 20;
    service.config.functions_known = 1;
    CHECK(tf_logs_run(&service.config, &error) == TF_ERR_USAGE && strstr(error.text, "functions_known") != NULL);
    service.config.functions_known = 1000;
    int const fds[] = {service.ring_fds[0], service.folder.fd};
    service.config.ring_fds = fds;
    service.config.ring_count = 2;
    CHECK(tf_logs_run(&service.config, &error) != 0);
    service.config.log_folder = "/dev/null/x";
    CHECK(tf_logs_run(&service.config, &error) == TF_ERR_SYSTEM);
    service_remove(&service);
}

TEST_MAIN(TEST(test_all_arrive), TEST(test_killed), TEST(test_rotation), TEST(test_hostile_records),
          TEST(test_hostile_pages), TEST(test_drops_are_told), TEST(test_in_the_way), TEST(test_refusals))
