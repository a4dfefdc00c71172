/*
 * Finding out which pages a guest writes.
 *
 * userfaultfd write protection marks page table entries: watching and releasing single pages splits no mapping. With
 * UFFD_FEATURE_SIGBUS a write to a watched page becomes a signal to the writing thread, so no second thread is needed.
 * Where the kernel has none (before 6.4, or refused), mprotect does the same, but each boundary between watched and
 * open pages splits a mapping, so the open ones are kept in few runs.
 */
#include "runtime/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. Values are the kernel's ABI. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define MPROTECT_RUNS_MAX 4u

int tf_protect_open(struct tf_runtime *runtime)
{
    runtime->uffd = -1;
    if (getenv("TERRAFIRMA_NO_USERFAULTFD") != NULL) /* so that tests can exercise the fallback */
        return 0;
    int const fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd < 0)
        return 0;
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED |
                    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
    };
    if (ioctl(fd, UFFDIO_API, &api) != 0) {
        close(fd);
        return 0;
    }
    runtime->uffd = fd;
    return 0;
}

const char *tf_runtime_write_tracking(const struct tf_runtime *runtime)
{
    return runtime->uffd >= 0 ? "userfaultfd" : "mprotect";
}

static int write_protect(int uffd, const void *start, uint64_t bytes, bool on)
{
    struct uffdio_writeprotect request = {
        .range = {.start = (uintptr_t)start, .len = bytes},
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };
    return ioctl(uffd, UFFDIO_WRITEPROTECT, &request) == 0 ? 0 : -errno;
}

int tf_protect_watch(struct tf_slot *slot, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    uint8_t *const start = slot->memory + offset;
    int const uffd = slot->runtime->uffd;
    if (uffd < 0)
        return mprotect(start, bytes, PROT_READ) == 0 ? 0 : -errno;
    struct uffdio_register request = {
        .range = {.start = (uintptr_t)start, .len = bytes},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    /* Registering what is registered already is allowed and cheap. */
    if (ioctl(uffd, UFFDIO_REGISTER, &request) != 0)
        return -errno;
    return write_protect(uffd, start, bytes, true);
}

int tf_protect_release(struct tf_slot *slot, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    uint8_t *const start = slot->memory + offset;
    if (slot->runtime->uffd < 0)
        return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
    return write_protect(slot->runtime->uffd, start, bytes, false);
}

static bool release_pages(struct tf_slot *slot, struct tf_run run)
{
    return tf_protect_release(slot, (uint64_t)run.first * TF_HOST_PAGE_BYTES,
                              (uint64_t)(run.end - run.first) * TF_HOST_PAGE_BYTES) == 0;
}

static uint32_t runs_most(const struct tf_slot *slot)
{
    return slot->runtime->uffd >= 0 ? TF_RUNS_MAX - 1 : MPROTECT_RUNS_MAX;
}

bool tf_protect_admit(struct tf_slot *slot, uint32_t first, uint32_t end)
{
    if (!tf_runs_add(&slot->dirty, first, end, runs_most(slot)))
        return release_pages(slot, (struct tf_run){first, end});
    for (uint32_t i = 0; i < slot->dirty.count; i++)
        if (!release_pages(slot, slot->dirty.runs[i]))
            return false;
    return true;
}

/* The function's other slots begin with what this one learned: no more than a slot may put back after each request.
 * Many slots, each of which writes pages of its own, would have made it all of a memory. */
static void learn(struct tf_slot *slot, uint32_t page)
{
    slot->runtime->counters.pages_learned++;
    if (!slot->dirty_is_inherited) {
        slot->dirty_is_new = true;
        return;
    }
    struct tf_runs learned = slot->function->learned;
    tf_runs_add(&learned, page, page + 1, runs_most(slot));
    if (learned.pages <= TF_DIRTY_PAGES_MAX)
        slot->function->learned = learned;
}

bool tf_protect_resolve(struct tf_slot *slot, uintptr_t address)
{
    uintptr_t const memory = (uintptr_t)slot->memory;
    if (address < memory || address - memory >= slot->accessible_bytes)
        return false;
    uint32_t const page = (uint32_t)((address - memory) / TF_HOST_PAGE_BYTES);
    if (slot->dirty_overflow)
        return false; /* all is open: this fault has another cause */
    uintptr_t const fault_page = address & ~(uintptr_t)(TF_HOST_PAGE_BYTES - 1);
    slot->same_faults = fault_page == slot->last_fault ? slot->same_faults + 1 : 0;
    slot->last_fault = fault_page;
    if (slot->same_faults > 8)
        return false; /* opening it does not help, as when memory ran out */
    learn(slot, page);
    if (!tf_protect_admit(slot, page, page + 1))
        return false;
    if (slot->dirty.pages <= TF_DIRTY_PAGES_MAX)
        return true;
    slot->dirty_overflow = true;
    return tf_protect_release(slot, 0, slot->accessible_bytes) == 0;
}
