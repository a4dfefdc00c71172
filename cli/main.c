/* terrafirma: the table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "sites/certificates.h"

static const struct tf_command *const commands[] = {
    &tf_command_serve,  &tf_command_build,   &tf_command_prebuild, &tf_command_run,  &tf_command_init,
    &tf_command_cache,  &tf_command_inspect, &tf_command_status,   &tf_command_logs, &tf_command_kv,
    &tf_command_worker, &tf_command_builder, &tf_command_service,  &tf_command_logs_child, &tf_command_resolve,
    &tf_command_site,   &tf_command_registry,
    &tf_command_certificates_child};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct tf_command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: terrafirma COMMAND [OPTIONS]\n\n"
                    "Runs tenants' WebAssembly functions behind HTTP, as native code.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i]->summary != NULL)
            fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(stream, "\n"
                    "  terrafirma COMMAND --help   tells more of a command\n"
                    "  terrafirma --version        names the version\n\n"
                    "All keys of the configuration file: docs/configuration.md\n");
}

int main(int argc, char **argv)
{
    bool is_hook;
    int const hook_status = tf_acme_hook(argc, argv, &is_hook);
    if (is_hook)
        return hook_status;
    if (argc < 2) {
        print_usage(stderr);
        return TF_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("terrafirma %s\n", TF_VERSION);
        return TF_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        print_usage(stdout);
        return TF_EXIT_OK;
    }
    if (strcmp(name, "help") == 0) {
        const struct tf_command *about = find(argv[2]);
        char *help[] = {argv[2], "--help", NULL};
        if (about != NULL)
            return about->run(about, 2, help);
        name = argv[2];
    }
    const struct tf_command *command = find(name);
    if (command != NULL)
        return command->run(command, argc - 1, argv + 1);
    fprintf(stderr, "terrafirma: '%.60s': no such command; see terrafirma --help\n", name);
    return TF_EXIT_USAGE;
}
