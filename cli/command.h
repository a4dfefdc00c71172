/*
 * Sub-commands: their table, their options, their help. One description serves the parser and --help.
 */
#ifndef TF_CLI_COMMAND_H
#define TF_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/config.h"
#include "compiler/compiler.h"
#include "cache/cache.h"
#include <terrafirma/error.h>

#define TF_EXIT_OK 0
#define TF_EXIT_FAILED 1
#define TF_EXIT_USAGE 2

struct tf_option {
    const char *name;     /* "--root" */
    const char *argument; /* "DIR"; NULL: a switch */
    const char *key;      /* of the configuration, which the value is for; NULL: the command's own */
    const char *help;     /* one line, with the default */
};

/* An option of its own, or (option NULL) what is no option. 0, or TF_ERR_USAGE with a sentence. */
typedef int (*tf_option_fn)(void *context, const struct tf_option *option, const char *value, struct tf_error *error);

struct tf_command {
    const char *name;
    const char *synopsis; /* behind the name */
    const char *summary;  /* one line; NULL: not listed */
    const char *details;  /* paragraphs; may be NULL */
    const struct tf_option *options;
    size_t option_count;
    int (*run)(const struct tf_command *command, int argc, char **argv);
};

extern const struct tf_command tf_command_serve, tf_command_build, tf_command_prebuild, tf_command_run,
    tf_command_init, tf_command_cache, tf_command_inspect, tf_command_status, tf_command_logs, tf_command_kv,
    tf_command_resolve, tf_command_certificates_child, tf_command_site, tf_command_registry,
    tf_command_worker, tf_command_builder, tf_command_logs_child, tf_command_service;

/* Options that several commands have. */
#define TF_OPTION_CACHE                                                                                                \
    {                                                                                                                  \
        "--cache", "DIR", "cache",                                                                                     \
            "compiled functions (default $TERRAFIRMA_CACHE, as root /var/cache/terrafirma, else ~/.cache/terrafirma)"  \
    }
#define TF_OPTION_CONFIG                                                                                               \
    {                                                                                                                  \
        "--config", "FILE", NULL, "configuration in YAML; options win over it (default none)"                          \
    }
#define TF_OPTION_SET                                                                                                  \
    {                                                                                                                  \
        "--set", "KEY=VALUE", NULL, "one key of the configuration, as limits.wall_ms=1000; may be repeated"            \
    }

/* Reads --config first, then all other options into the configuration and `on_option`. True: go on. False: end with
 * *ret_exit; help, or what was wrong, has been printed. */
bool tf_command_parse(const struct tf_command *command, int argc, char **argv, struct tf_config *config,
                      tf_option_fn on_option, void *context, int *ret_exit);

/* "terrafirma: WHAT: text" on standard error; the exit status that belongs to the error. */
int tf_fail(const char *what, const struct tf_error *error);

/* The cache that the configuration means. Errors: those of tf_cache_open. */
int tf_open_cache(const struct tf_config *config, enum tf_cache_mode mode, struct tf_cache **ret_cache,
                  struct tf_error *error);

/* What a command that builds needs: cache (made where missing) and compiler. */
struct tf_tools {
    struct tf_cache *cache;
    struct tf_compiler *compiler;
};
int tf_tools_open(const struct tf_config *config, struct tf_tools *ret_tools, struct tf_error *error);
void tf_tools_close(struct tf_tools *tools);
/* Reads a module from a path that the operator named (links are followed). */
int tf_module_read(const char *path, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                   struct tf_error *error);
/* One per CPU. */
uint32_t tf_cpu_count(void);

#endif
