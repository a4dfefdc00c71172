#include "cli/certificates_child.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "cli/places.h"


struct confinement {
    const struct tf_certificates_config *service;
    char roots[PATH_MAX]; /* where this root's routes will be, once there are any */
};

/* It starts uacme, and uacme this program as its hook: so programs can be executed, but only those of the system and
 * this one; and what they may open is what the service may. System calls are not filtered, for their sake. */
static int confine(void *context, struct tf_error *error)
{
    const struct confinement *const confinement = context;
    const struct tf_certificates_config *const config = confinement->service;
    struct tf_confine_path const paths[] = {
        {.path = config->folder, .write = true},
        {.path = confinement->roots},
        {.path = config->supplied != NULL ? config->supplied : config->folder, .write = config->supplied == NULL},
        {.path = "/usr", .execute = true},
        {.path = "/lib", .execute = true},
        {.path = "/lib64", .execute = true},
        {.path = "/etc"},
        {.path = "/run/systemd/resolve"},
        {.path = "/dev/null", .write = true},
        {.path = "/dev/urandom"},
        {.path = config->acme.hook, .execute = true},
    };
    int const result = tf_confine_files_connecting(paths, sizeof(paths) / sizeof(paths[0]), error);
    if (result != TF_ERR_NOT_FOUND)
        return result;
    fprintf(stderr, "terrafirma: certificate service: %s: what it may open is not bounded\n", error->text);
    return TF_OK;
}

int tf_certificates_child_run(const struct tf_config *config, int state_fd, int stop_fd, int domain_table_fd,
                              const int *channel_fds, uint32_t channel_count, struct tf_error *error)
{
    struct tf_certificates_config service = tf_config_certificates(config);
    char *folder = NULL, *routes = NULL, program[PATH_MAX] = "";
    if (channel_count == 0 || state_fd < 0)
        return tf_error_set(error, TF_ERR_USAGE, "this command is for terrafirma serve");
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) <= 0)
        return tf_error_system(error, "cannot find this program");
    /* It was replaced by a newer one since: that one's hook serves as well. */
    char *const gone = strstr(program, " (deleted)");
    if (gone != NULL)
        *gone = '\0';
    int result = tf_places_certificates(config, &folder, error);
    if (result == TF_OK)
        result = tf_places_routes(config, &routes, error);
    service.folder = folder;
    service.routes = routes;
    service.acme.hook = program;
    service.state_fd = state_fd;
    service.stop_fd = stop_fd;
    service.domain_table_fd = domain_table_fd;
    service.channel_fds = channel_fds;
    service.worker_count = channel_count;
    if (result == TF_OK && service.acme.directory != NULL && access(TF_ACME_CLIENT, X_OK) != 0)
        result = tf_error_system(error, "tls.acme needs the program " TF_ACME_CLIENT " (package uacme)");
    struct confinement confinement = {.service = &service};
    snprintf(confinement.roots, sizeof(confinement.roots), "%s/roots", config->cache);
    if (result == TF_OK)
        result = tf_certificates_run(&service, confine, &confinement, error);
    free(folder);
    free(routes);
    return result;
}
