/*
 * Mapping a checked descriptor through the dynamic linker.
 *
 * What is mapped must be what was hashed, so dlopen gets the descriptor itself, as /proc/self/fd/<n>, and not a path
 * that could lead elsewhere by now. The dynamic linker first compares that *name* with the names of all it has loaded,
 * and remembers names for as long as the object stays; descriptor numbers are used again. So every call gets a spelling
 * of its own: a counter, written with "./" and ".//" between the folder and the number. (Two opens of one file still
 * share one mapping: the linker compares device and inode next.)
 *
 * Where /proc is not usable (not mounted, hidden), the path is used instead, and device and inode are compared before
 * and after. The consequence: whoever may rename inside the cache could swap files around that moment. Only the
 * builder's user may.
 */
#include "loader/internal.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include <terrafirma/limits.h>

/* Spelling: at most 64 times ".//" */
#define NAME_BYTES (sizeof(((struct tf_cache_entry *)0)->object_path) + 64 * 3 + 16)

static void put_text(char *name, size_t *length, const char *text, size_t bytes)
{
    memcpy(name + *length, text, bytes);
    *length += bytes;
    name[*length] = '\0';
}

/* `folder` ends in a slash. Each call gives another spelling of <folder><file>. */
static void spell(const char *folder, size_t folder_bytes, const char *file, char ret_name[NAME_BYTES])
{
    static _Atomic uint64_t spellings;
    size_t length = 0;
    put_text(ret_name, &length, folder, folder_bytes);
    for (uint64_t rest = atomic_fetch_add(&spellings, 1); rest != 0; rest >>= 1)
        put_text(ret_name, &length, ".//", rest & 1 ? 3 : 2);
    put_text(ret_name, &length, file, strlen(file));
}

static bool leads_to(const char *name, const struct stat *wanted)
{
    struct stat found;
    return stat(name, &found) == 0 && found.st_dev == wanted->st_dev && found.st_ino == wanted->st_ino;
}

static int open_handle(const struct tf_cache_entry *entry, const char *proc_fd_folder, void **ret_handle,
                       struct tf_error *error)
{
    char name[NAME_BYTES], number[16];
    struct stat checked;
    if (fstat(entry->object_fd, &checked) != 0)
        return tf_error_system(error, "cannot stat %s", entry->object_path);
    snprintf(number, sizeof(number), "%d", entry->object_fd);
    spell(proc_fd_folder, strlen(proc_fd_folder), number, name);
    bool const by_path = !leads_to(name, &checked);
    if (by_path) {
        const char *const slash = strrchr(entry->object_path, '/');
        if (slash == NULL)
            return tf_error_set(error, TF_ERR_SYSTEM, "\"%s\" is not an absolute path", entry->object_path);
        spell(entry->object_path, (size_t)(slash + 1 - entry->object_path), slash + 1, name);
        if (!leads_to(name, &checked))
            return tf_error_set(error, TF_ERR_CORRUPT, "%s is not the file that was checked", entry->object_path);
    }
    void *const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *const words = dlerror();
        return tf_error_set(error, TF_ERR_SYSTEM, "cannot map %s: %s", entry->object_path,
                            words != NULL ? words : "no reason given");
    }
    if (by_path && !leads_to(name, &checked)) {
        dlclose(handle);
        return tf_error_set(error, TF_ERR_CORRUPT, "%s changed while it was mapped", entry->object_path);
    }
    *ret_handle = handle;
    return 0;
}

/* ---- layout ---- */

struct search {
    ElfW(Addr) load_address;
    struct tf_object *object;
    bool found;
    const char *wrong;
};

static struct tf_range pages_of(ElfW(Addr) load_address, const ElfW(Phdr) *header)
{
    uintptr_t const mask = ~(uintptr_t)(TF_HOST_PAGE_BYTES - 1);
    uintptr_t const begin = (load_address + header->p_vaddr) & mask;
    uintptr_t const end = (load_address + header->p_vaddr + header->p_memsz + ~mask) & mask;
    return (struct tf_range){(const uint8_t *)begin, (const uint8_t *)end};
}

static void add_read_only(struct search *search, struct tf_range range)
{
    struct tf_object *const object = search->object;
    if (object->read_only_count == TF_OBJECT_RANGES_MOST)
        search->wrong = "too many segments";
    else
        object->read_only[object->read_only_count++] = range;
}

static void note_segment(struct search *search, const ElfW(Phdr) *header)
{
    struct tf_object *const object = search->object;
    struct tf_range const range = pages_of(search->load_address, header);
    if (object->whole.begin == NULL || range.begin < object->whole.begin)
        object->whole.begin = range.begin;
    if (range.end > object->whole.end)
        object->whole.end = range.end;
    if (header->p_flags & PF_X) {
        if (object->text.begin != NULL)
            search->wrong = "more than one executable segment";
        if (header->p_flags & PF_W)
            search->wrong = "a segment that is both writable and executable";
        object->text = range;
    }
    if (!(header->p_flags & PF_W) && (header->p_flags & PF_R))
        add_read_only(search, range);
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct search *const search = context;
    if (info->dlpi_addr != search->load_address)
        return 0;
    search->found = true;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD) {
            note_segment(search, header);
        } else if (header->p_type == PT_GNU_RELRO) {
            /* The linker protects whole pages only: what shares its last page with writable data stays writable. */
            struct tf_range range = pages_of(search->load_address, header);
            uintptr_t const end = search->load_address + header->p_vaddr + header->p_memsz;
            range.end = (const uint8_t *)(end & ~(uintptr_t)(TF_HOST_PAGE_BYTES - 1));
            if (range.end > range.begin)
                add_read_only(search, range);
        }
    }
    return 1;
}

static int find_layout(struct tf_object *object, struct tf_error *error)
{
    struct link_map *map = NULL;
    if (dlinfo(object->handle, RTLD_DI_LINKMAP, &map) != 0 || map == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "the dynamic linker does not know where it put the object");
    struct search search = {.load_address = map->l_addr, .object = object};
    dl_iterate_phdr(visit_object, &search);
    if (!search.found)
        return tf_error_set(error, TF_ERR_SYSTEM, "the dynamic linker does not list the object");
    if (search.wrong == NULL && object->text.begin == NULL)
        search.wrong = "no executable segment";
    if (search.wrong != NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "the object has %s", search.wrong);
    return 0;
}

static int open_through(const struct tf_cache_entry *entry, const char *proc_fd_folder, struct tf_object *ret_object,
                        struct tf_error *error)
{
    struct tf_object object = {0};
    int result = open_handle(entry, proc_fd_folder, &object.handle, error);
    if (result != 0)
        return result;
    result = find_layout(&object, error);
    if (result != 0) {
        tf_object_close(&object);
        return result;
    }
    *ret_object = object;
    return 0;
}

int tf_object_open(const struct tf_cache_entry *entry, struct tf_object *ret_object, struct tf_error *error)
{
    return open_through(entry, "/proc/self/fd/", ret_object, error);
}

void tf_object_close(struct tf_object *object)
{
    if (object->handle != NULL)
        dlclose(object->handle);
    *object = (struct tf_object){0};
}

bool tf_object_holds_constant(const struct tf_object *object, const void *address, size_t bytes)
{
    const uint8_t *const begin = address;
    for (size_t i = 0; i < object->read_only_count; i++) {
        const struct tf_range *const range = &object->read_only[i];
        if (begin >= range->begin && begin <= range->end && bytes <= (size_t)(range->end - begin))
            return true;
    }
    return false;
}
