/* Starting a child: this program, by exec, so that each has its own address space layout. */
#include "cli/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* Some words ahead, two for each descriptor, NULL. */
#define ARGUMENTS_MAX (16 + 2 * TF_CHILD_FD_BASE)

extern char **environ;

struct arguments {
    char *words[ARGUMENTS_MAX];
    size_t count;
    bool failed;
};

static void add(struct arguments *arguments, const char *word)
{
    char *copy = arguments->count + 1 < ARGUMENTS_MAX ? strdup(word) : NULL;
    if (copy == NULL)
        arguments->failed = true;
    else
        arguments->words[arguments->count++] = copy;
}

static void add_number(struct arguments *arguments, const char *option, long long number)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", number);
    add(arguments, option);
    add(arguments, text);
}

static int add_descriptors(const struct tf_child_start *start, posix_spawn_file_actions_t *actions,
                           struct arguments *arguments)
{
    int failure = 0;
    for (size_t i = 0; i < start->fd_count && failure == 0; i++) {
        int const target = 3 + (int)i;
        failure = target < TF_CHILD_FD_BASE ? posix_spawn_file_actions_adddup2(actions, start->fds[i].fd, target)
                                            : EMFILE;
        add_number(arguments, start->fds[i].option, target);
    }
    return failure;
}

static int spawn(const struct tf_child_start *start, struct arguments *arguments, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGHUP);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGCHLD);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int failure = add_descriptors(start, &actions, arguments);
    if (failure == 0)
        failure = arguments->failed ? ENOMEM
                                    : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, arguments->words,
                                                  environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

int tf_child_start(const struct tf_child_start *start, pid_t *ret_pid, struct tf_error *error)
{
    struct arguments *arguments = calloc(1, sizeof(*arguments));
    if (arguments == NULL)
        return tf_error_system(error, "no memory");
    add(arguments, "terrafirma");
    add(arguments, start->command);
    add_number(arguments, "--parent", getpid());
    add(arguments, "--root");
    add(arguments, start->root);
    add(arguments, "--cache");
    add(arguments, start->cache);
    if (start->index >= 0)
        add_number(arguments, "--index", start->index);
    int const failure = spawn(start, arguments, ret_pid);
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->words[i]);
    free(arguments);
    if (failure == 0)
        return TF_OK;
    errno = failure;
    return tf_error_system(error, "cannot start %s", start->command);
}
