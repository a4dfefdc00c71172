/* For tests of the runtime on artifacts written by hand (fake_guest.c, whose shared object the build names in
 * TF_FAKE_GUEST). Included by a test's main file. */
#ifndef TF_TESTS_RUNTIME_HARNESS_H
#define TF_TESTS_RUNTIME_HARNESS_H

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "runtime/runtime.h"
#include "tests/check.h"

#ifndef TF_FAKE_GUEST
#define TF_FAKE_GUEST "fake_guest.so"
#endif

static void *guests; /* the shared object */
static struct tf_function_source text;

static int find_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    if (strstr(info->dlpi_name, (const char *)context) == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        ElfW(Phdr) const *const header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
            text.text_begin = (const uint8_t *)(info->dlpi_addr + header->p_vaddr);
            text.text_end = text.text_begin + header->p_memsz;
        }
    }
    return 1;
}

static struct tf_function_source source(const char *name)
{
    if (guests == NULL) {
        guests = dlopen(TF_FAKE_GUEST, RTLD_NOW | RTLD_LOCAL);
        CHECK_MESSAGE(guests != NULL, "%s", dlerror());
        dl_iterate_phdr(find_text, "fake_guest");
    }
    struct tf_function_source result = text;
    result.abi = dlsym(guests, name);
    CHECK_MESSAGE(result.abi != NULL && result.text_begin != NULL, "%s", name);
    return result;
}

static struct tf_runtime_config config(void)
{
    struct tf_runtime_config result = {.limits = TF_LIMITS_DEFAULT};
    result.limits.slots = 8;
    result.limits.cpu_ms = 250;
    return result;
}

static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};

static struct tf_runtime *runtime_new(const struct tf_runtime_config *settings)
{
    struct tf_runtime *runtime = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_runtime_create(settings, &runtime, &error) == 0, "%s", error.text);
    return runtime;
}

static inline struct tf_function *function_new(struct tf_runtime *runtime, const char *name)
{
    struct tf_function_source const from = source(name);
    struct tf_function *function = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_function_create(runtime, &from, &function, &error) == 0, "%s", error.text);
    return function;
}

struct ending {
    enum tf_outcome outcome;
    enum tf_trap trap;
    unsigned status;
};

/* On a busy machine any turn may outlast its slice. */
static enum tf_outcome resume(struct tf_guest *guest)
{
    enum tf_outcome outcome;
    do
        outcome = tf_guest_resume(guest);
    while (outcome == TF_OUTCOME_PREEMPTED);
    return outcome;
}

static inline struct ending run_once(struct tf_function *function)
{
    struct ending ending = {0};
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    int const failed = tf_guest_start(function, &request, NULL, &guest, &error);
    CHECK_MESSAGE(failed == 0, "%s", error.text);
    if (failed != 0)
        return ending;
    ending.outcome = resume(guest);
    ending.trap = tf_guest_trap_kind(guest);
    if (ending.outcome == TF_OUTCOME_RETURNED)
        ending.status = tf_guest_response(guest)->status;
    tf_guest_finish(&guest);
    return ending;
}

#endif
