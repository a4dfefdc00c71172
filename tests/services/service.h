/* A log service in a process of its own, with rings whose writer is the test. */
#ifndef TF_TESTS_SERVICES_SERVICE_H
#define TF_TESTS_SERVICES_SERVICE_H

#include <sys/wait.h>
#include <unistd.h>

#include "base/ring.h"
#include "services/logs.h"
#include "tests/services/fixture.h"

#define SERVICE_RINGS 3
#define SERVICE_RING_BYTES (1u << 20)

struct service {
    struct folder folder; /* logs and state lie below it */
    char log_folder[96], state_folder[96];
    struct tf_logs_config config;
    int ring_fds[SERVICE_RINGS];
    struct tf_ring rings[SERVICE_RINGS];
    int stop[2];
    pid_t pid;
};

/* Everything but the process: the configuration may still be changed. */
static inline void service_prepare(struct service *service)
{
    struct tf_error error;
    *service = (struct service){.folder = folder_make(), .config = TF_LOGS_CONFIG_DEFAULT};
    snprintf(service->log_folder, sizeof(service->log_folder), "%s/log", service->folder.path);
    snprintf(service->state_folder, sizeof(service->state_folder), "%s/state", service->folder.path);
    for (int i = 0; i < SERVICE_RINGS; i++) {
        CHECK(tf_ring_create("log", SERVICE_RING_BYTES, &service->ring_fds[i], &error) == 0);
        CHECK(tf_ring_map(service->ring_fds[i], true, &service->rings[i], &error) == 0);
    }
    service->config.log_folder = service->log_folder;
    service->config.state_folder = service->state_folder;
    service->config.ring_fds = service->ring_fds;
    service->config.ring_count = SERVICE_RINGS;
}

static inline void service_start(struct service *service, int (*confine)(const struct service *service))
{
    CHECK(pipe(service->stop) == 0);
    service->config.stop_fd = service->stop[0];
    fflush(NULL);
    service->pid = fork();
    if (service->pid == 0) {
        struct tf_error error = {0};
        close(service->stop[1]);
        int result = confine != NULL ? confine(service) : 0;
        if (result == 0)
            result = tf_logs_run(&service->config, &error);
        if (result != 0)
            fprintf(stderr, "logs: %s\n", error.text);
        fflush(NULL);
        _exit(result == 0 ? 0 : 1);
    }
    close(service->stop[0]);
}

/* Tells it to stop, which makes it read what is left, and waits. */
static inline void service_stop(struct service *service)
{
    int status = -1;
    close(service->stop[1]);
    CHECK(waitpid(service->pid, &status, 0) == service->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline void service_remove(struct service *service)
{
    for (int i = 0; i < SERVICE_RINGS; i++) {
        tf_ring_unmap(&service->rings[i]);
        close(service->ring_fds[i]);
    }
    folder_remove(&service->folder);
}

static inline struct tf_log_request service_request(const char *target)
{
    return (struct tf_log_request){.time_ns = 1, .status = 200, .protocol = 0x101, .site = TEXT("a.b"),
                                   .function = TEXT("f.wasm"), .method = TEXT("GET"), .target = text_of(target),
                                   .outcome = TF_LOG_OUTCOME_RETURNED};
}

static inline bool service_put_request(struct service *service, int ring, const char *target)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_request const request = service_request(target);
    return tf_ring_write(&service->rings[ring], record, (uint32_t)tf_log_record_request(record, &request));
}

static inline bool service_put_text(struct service *service, int ring, const char *function)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_guest_text const text = {
        .site = TEXT("a.b"), .function = text_of(function), .kind = TEXT("debug"), .text = TEXT("x")};
    return tf_ring_write(&service->rings[ring], record, (uint32_t)tf_log_record_text(record, &text));
}

#endif
