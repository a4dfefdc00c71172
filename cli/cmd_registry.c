/* terrafirma _registry: the process that speaks to a registry for another one. */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "cli/command.h"
#include "services/registry.h"

#define SOCKET_FD 3
/* What it takes to read a list of JSON, many times over; a registry's answers cannot take more. */
#define MEMORY_BYTES ((rlim_t)1 << 30)

/* Names and certificates are read, from here on, and nothing else. */
static int confine(void *context, const struct tf_registry_setup *setup, struct tf_error *error)
{
    struct tf_confine_path const paths[] = {
        {"/etc/ssl", false},
        {"/usr/share/ca-certificates", false},
        {"/usr/local/share/ca-certificates", false},
        {"/usr/lib", false},
        {"/usr/lib64", false},
        {"/etc/resolv.conf", false},
        {"/etc/hosts", false},
        {"/etc/nsswitch.conf", false},
        {"/etc/host.conf", false},
        {"/etc/gai.conf", false},
        {"/etc/ld.so.cache", false},
        {"/run/systemd/resolve", false},
        {"/dev/urandom", false},
        {setup->ca_file[0] != '\0' ? setup->ca_file : "/etc/ssl", false},
    };
    rlim_t const most = setup->blob_most > MEMORY_BYTES ? setup->blob_most : MEMORY_BYTES;
    struct rlimit const memory = {MEMORY_BYTES, MEMORY_BYTES}, files = {most, most}, none = {0, 0};
    (void)context;
    int result = setup->run_as[0] != '\0' && geteuid() == 0 ? tf_confine_user(setup->run_as, NULL, error) : TF_OK;
    if (result == TF_OK)
        result = tf_confine_no_new_privileges(error);
    if (result == TF_OK && (setrlimit(RLIMIT_DATA, &memory) != 0 || setrlimit(RLIMIT_FSIZE, &files) != 0 ||
                            setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0))
        result = tf_error_system(error, "cannot bound the process that speaks to the registry");
    if (result == TF_OK)
        result = tf_confine_files_connecting(paths, sizeof(paths) / sizeof(paths[0]), error);
    if (result == TF_ERR_NOT_FOUND) {
        fprintf(stderr, "terrafirma: registry: %s: what it may open is not bounded\n", error->text);
        result = TF_OK;
    }
    return result == TF_OK ? tf_confine_calls(tf_registry_calls, tf_registry_call_count, error) : result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_error error;
    (void)command, (void)argv;
    int const result = argc == 1 ? tf_registry_run(SOCKET_FD, confine, NULL, &error)
                                 : tf_error_set(&error, TF_ERR_USAGE, "this command is for terrafirma itself");
    return result == TF_OK ? TF_EXIT_OK : tf_fail("registry", &error);
}

const struct tf_command tf_command_registry = {
    .name = "_registry",
    .synopsis = "…",
    .details = "Speaks to a registry. Started by terrafirma itself; of no use otherwise.\n",
    .run = run,
};
