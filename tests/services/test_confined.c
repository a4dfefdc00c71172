/* The service with the rights it is meant to have, and no others. */
#include <stdlib.h>

#include "base/confine.h"
#include "tests/services/service.h"

static int confine(const struct service *service)
{
    struct tf_confine_path const paths[] = {{service->log_folder, true}, {service->state_folder, true}};
    struct tf_error error = {0};
    int result = tf_confine_no_new_privileges(&error);
    if (result == 0 && tf_confine_files(paths, 2, &error) != 0 && error.code != TF_ERR_NOT_FOUND)
        result = error.code;
    if (result == 0)
        result = tf_confine_calls(tf_logs_calls, tf_logs_call_count, &error);
    if (result != 0)
        fprintf(stderr, "%s\n", error.text);
    return result == TF_ERR_NOT_FOUND ? 0 : result;
}

static void test_confined(void)
{
    struct service service;
    char function[600];
    service_prepare(&service);
    CHECK(mkdir(service.log_folder, 0700) == 0 && mkdir(service.state_folder, 0700) == 0);
    service.config.access_bytes = 131072;
    service.config.function_bytes = 32768;
    service.config.functions_files = 100;
    service_start(&service, confine);
    memset(function, 'x', sizeof(function)); /* a name that is hashed */
    for (int i = 0; i < 3000; i++) {
        snprintf(function + 500, sizeof(function) - 500, "%d.wasm", i % 300);
        while (!service_put_request(&service, i % SERVICE_RINGS, "/") || !service_put_text(&service, 0, function) ||
               !service_put_text(&service, 1, "f.wasm"))
            usleep(1000);
    }
    service_stop(&service);
    CHECK(file_size(service.folder.fd, "log/access.log.1") > 0);
    char *const metrics = slurp(service.folder.fd, "state/metrics.json");
    CHECK(strstr(metrics, "\"access_lost\":0,") != NULL && strstr(metrics, "\"function_lost\":0,") != NULL &&
          strstr(metrics, "\"function_files_removed\":0,") == NULL);
    free(metrics);
    service_remove(&service);
}

TEST_MAIN(TEST(test_confined))
