/*
 * Mapping a checked descriptor, without the dynamic linker.
 *
 * What it would do for objects of any kind, artifacts do not need: they have no dependencies, no undefined symbols, no
 * constructors and no thread-local storage; what is left is two segments and pointers to add the address to. And it
 * walks the list of all that is loaded, at each load and each unload, under a lock: with ten thousand artifacts that is
 * what a load mostly consists of.
 *
 * What is mapped is what was hashed: the descriptor itself, never a path that could lead elsewhere by now. Whoever may
 * write into the file in place could change it under everybody; only the builder's user may.
 *
 *     base ─▶ text: headers, symbols, code, constants        read and execute, shared with all that map the file
 *             hole: what the linker left between, if any     nothing
 *             data: constants that hold addresses            private; writable while they are made, never again
 */
#include "loader/internal.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include <terrafirma/abi.h>
#include <terrafirma/limits.h>

#define SEGMENTS_MOST 16u
#define TAGS_MOST 64u
#define NAME_BYTES_MOST 4096u
/* Addresses of an object are offsets: more than this is no artifact. */
#define SPAN_MOST (2ull << 30)

/* Program headers, as far as they matter. Addresses count from the object's base; text begins there. */
struct layout {
    uint64_t text_bytes;
    uint64_t data_address, data_bytes, data_offset;
    uint64_t dynamic_address, dynamic_bytes;
};

struct dynamic {
    uint64_t hash, symbols, names, name_bytes, relocations, relocation_bytes;
};

static int wrong(struct tf_error *error, const char *what)
{
    return tf_error_set(error, TF_ERR_CORRUPT, "the object %s", what);
}

static uint64_t page_begin(uint64_t address)
{
    return address & ~(uint64_t)(TF_HOST_PAGE_BYTES - 1);
}

static uint64_t page_end(uint64_t address)
{
    return page_begin(address + TF_HOST_PAGE_BYTES - 1);
}

/* ---- headers, out of the file's first bytes ---- */

static int read_segment(const Elf64_Phdr *segment, uint64_t file_bytes, struct layout *layout, struct tf_error *error)
{
    if (segment->p_filesz != segment->p_memsz || segment->p_memsz == 0 || segment->p_memsz > SPAN_MOST ||
        segment->p_vaddr > SPAN_MOST || segment->p_offset > file_bytes ||
        segment->p_filesz > file_bytes - segment->p_offset ||
        segment->p_vaddr % TF_HOST_PAGE_BYTES != segment->p_offset % TF_HOST_PAGE_BYTES)
        return wrong(error, "has a segment with impossible or zero-filled bytes");
    if (layout->text_bytes == 0) {
        if (segment->p_flags != (PF_R | PF_X) || segment->p_vaddr != 0 || segment->p_offset != 0)
            return wrong(error, "does not begin with one segment that is read and executed");
        layout->text_bytes = segment->p_memsz;
        return 0;
    }
    if (layout->data_bytes != 0 || segment->p_flags != (PF_R | PF_W))
        return wrong(error, "has more segments than code and relocated constants");
    if (page_begin(segment->p_vaddr) < page_end(layout->text_bytes))
        return wrong(error, "has segments that overlap");
    layout->data_address = segment->p_vaddr;
    layout->data_bytes = segment->p_memsz;
    layout->data_offset = segment->p_offset;
    return 0;
}

static int read_header(const Elf64_Phdr *segment, uint64_t file_bytes, struct layout *layout, struct tf_error *error)
{
    switch (segment->p_type) {
    case PT_LOAD:
        return read_segment(segment, file_bytes, layout, error);
    case PT_DYNAMIC:
        layout->dynamic_address = segment->p_vaddr;
        layout->dynamic_bytes = segment->p_filesz;
        return 0;
    case PT_GNU_STACK:
        return segment->p_flags & PF_X ? wrong(error, "wants an executable stack") : 0;
    case PT_GNU_RELRO: /* all data become read-only */
    case PT_GNU_EH_FRAME:
    case PT_GNU_PROPERTY:
    case PT_NOTE:
        return 0;
    default:
        return wrong(error, "has a segment that no artifact needs");
    }
}

static int read_layout(int fd, struct layout *ret_layout, struct tf_error *error)
{
    static const uint8_t identity[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_SYSV};
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[SEGMENTS_MOST];
    } head;
    struct stat status;
    struct layout layout = {0};
    if (fstat(fd, &status) != 0)
        return tf_error_system(error, "cannot stat it");
    ssize_t const bytes = pread(fd, &head, sizeof(head), 0);
    if (bytes < 0)
        return tf_error_system(error, "cannot read it");
    const Elf64_Ehdr *const header = &head.header;
    if ((size_t)bytes < sizeof(*header) || memcmp(header->e_ident, identity, sizeof(identity)) != 0 ||
        header->e_type != ET_DYN || header->e_machine != EM_X86_64)
        return wrong(error, "is no shared object for x86-64");
    if (header->e_phoff != sizeof(*header) || header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phnum > SEGMENTS_MOST || (size_t)bytes < sizeof(*header) + header->e_phnum * sizeof(Elf64_Phdr))
        return wrong(error, "has program headers in an unusual place or number");
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        int const result = read_header(&head.segments[i], (uint64_t)status.st_size, &layout, error);
        if (result != 0)
            return result;
    }
    if (layout.text_bytes == 0 || layout.data_bytes == 0 || layout.dynamic_bytes == 0)
        return wrong(error, "lacks a segment that it must have");
    *ret_layout = layout;
    return 0;
}

/* ---- what is mapped, by address ---- */

/* [address, address + bytes) lies in [begin, begin + length). */
static bool covers(uint64_t begin, uint64_t length, uint64_t address, uint64_t bytes)
{
    return address >= begin && address - begin <= length && bytes <= length - (address - begin);
}

static bool data_covers(const struct layout *layout, uint64_t address, uint64_t bytes)
{
    return covers(layout->data_address, layout->data_bytes, address, bytes);
}

/* NULL where no segment has all of it, or where it is not aligned. */
static const void *at(const struct tf_object *object, const struct layout *layout, uint64_t address, uint64_t bytes,
                      uint64_t alignment)
{
    if (address % alignment != 0 ||
        (!covers(0, layout->text_bytes, address, bytes) && !data_covers(layout, address, bytes)))
        return NULL;
    return object->whole.begin + address;
}

/* ---- the dynamic section ---- */

/* `dynamic` is zeros before: what is not there stays 0. */
static int read_dynamic(const struct tf_object *object, const struct layout *layout, struct dynamic *dynamic,
                        struct tf_error *error)
{
    uint64_t const count = layout->dynamic_bytes / sizeof(Elf64_Dyn);
    const Elf64_Dyn *const entries = at(object, layout, layout->dynamic_address, layout->dynamic_bytes, 8);
    if (entries == NULL || count > TAGS_MOST)
        return wrong(error, "has a dynamic section in an unusual place");
    for (uint64_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        uint64_t const value = entries[i].d_un.d_val;
        switch (entries[i].d_tag) {
        case DT_HASH:
            dynamic->hash = value;
            break;
        case DT_SYMTAB:
            dynamic->symbols = value;
            break;
        case DT_STRTAB:
            dynamic->names = value;
            break;
        case DT_STRSZ:
            dynamic->name_bytes = value;
            break;
        case DT_RELA:
            dynamic->relocations = value;
            break;
        case DT_RELASZ:
            dynamic->relocation_bytes = value;
            break;
        case DT_SYMENT:
        case DT_RELAENT:
        case DT_RELACOUNT:
        case DT_FLAGS:
        case DT_FLAGS_1:
            break;
        default: /* a library, a constructor, text relocations … */
            return wrong(error, "has a dynamic entry that no artifact needs");
        }
    }
    return 0;
}

/* The one symbol there is. DT_HASH says how many there are. */
static int find_symbol(struct tf_object *object, const struct layout *layout, const struct dynamic *dynamic,
                       struct tf_error *error)
{
    const uint32_t *const counts = at(object, layout, dynamic->hash, 2 * sizeof(uint32_t), sizeof(uint32_t));
    const Elf64_Sym *const symbols = at(object, layout, dynamic->symbols, 2 * sizeof(Elf64_Sym), 8);
    if (dynamic->hash == 0 || dynamic->symbols == 0 || counts == NULL || symbols == NULL || counts[1] != 2)
        return wrong(error, "has other symbols than " TF_ABI_SYMBOL);
    const Elf64_Sym *const symbol = &symbols[1];
    const char *const names = at(object, layout, dynamic->names, dynamic->name_bytes, 1);
    if (names == NULL || dynamic->name_bytes > NAME_BYTES_MOST || symbol->st_name > dynamic->name_bytes ||
        dynamic->name_bytes - symbol->st_name < sizeof(TF_ABI_SYMBOL) ||
        memcmp(names + symbol->st_name, TF_ABI_SYMBOL, sizeof(TF_ABI_SYMBOL)) != 0 || symbol->st_shndx == SHN_UNDEF)
        return wrong(error, "exports no " TF_ABI_SYMBOL);
    object->symbol = at(object, layout, symbol->st_value, symbol->st_size, 1);
    object->symbol_bytes = symbol->st_size;
    return object->symbol != NULL ? 0 : wrong(error, "has " TF_ABI_SYMBOL " outside its segments");
}

static int relocate(struct tf_object *object, const struct layout *layout, const struct dynamic *dynamic,
                    struct tf_error *error)
{
    uint8_t *const base = (uint8_t *)(uintptr_t)object->whole.begin;
    uint64_t const count = dynamic->relocation_bytes / sizeof(Elf64_Rela);
    /* They lie in the text: what is written here changes none of them. */
    if (!covers(0, layout->text_bytes, dynamic->relocations, dynamic->relocation_bytes) ||
        dynamic->relocations % 8 != 0)
        return wrong(error, "has relocations outside its text");
    const Elf64_Rela *const entries = (const Elf64_Rela *)(base + dynamic->relocations);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t const offset = entries[i].r_offset, target = (uint64_t)entries[i].r_addend;
        if (entries[i].r_info != ELF64_R_INFO(0, R_X86_64_RELATIVE))
            return wrong(error, "has a relocation that does more than add its address");
        if (!data_covers(layout, offset, sizeof(uint64_t)) || offset % sizeof(uint64_t) != 0 ||
            target > layout->data_address + layout->data_bytes)
            return wrong(error, "has a relocation of, or to, what is not its own");
        uint64_t const address = (uint64_t)(uintptr_t)base + target;
        memcpy(base + offset, &address, sizeof(address));
    }
    return 0;
}

/* ---- mapping ---- */

static int map(int fd, const struct layout *layout, struct tf_object *object, struct tf_error *error)
{
    uint64_t const text_end = page_end(layout->text_bytes), data_begin = page_begin(layout->data_address);
    uint64_t const end = page_end(layout->data_address + layout->data_bytes);
    /* The text's mapping reserves the rest, too. */
    uint8_t *const base = mmap(NULL, end, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        return tf_error_system(error, "cannot map it");
    object->whole = (struct tf_range){base, base + end};
    object->text = (struct tf_range){base, base + text_end};
    object->data = (struct tf_range){base + data_begin, base + end};
    if (data_begin > text_end && mprotect(base + text_end, data_begin - text_end, PROT_NONE) != 0)
        return tf_error_system(error, "cannot close a hole in it");
    /* Nearly each page of them is written at once: populated, that takes no page fault. */
    if (mmap(base + data_begin, end - data_begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_POPULATE, fd,
             (off_t)page_begin(layout->data_offset)) == MAP_FAILED)
        return tf_error_system(error, "cannot map its data");
    return 0;
}

static int prepare(struct tf_object *object, const struct layout *layout, struct tf_error *error)
{
    struct dynamic dynamic = {0};
    int result = read_dynamic(object, layout, &dynamic, error);
    if (result == 0)
        result = relocate(object, layout, &dynamic, error);
    if (result == 0 && mprotect((void *)(uintptr_t)object->data.begin,
                                (size_t)(object->data.end - object->data.begin), PROT_READ) != 0)
        result = tf_error_system(error, "cannot protect its data");
    if (result == 0)
        result = find_symbol(object, layout, &dynamic, error);
    return result;
}

int tf_object_open(const struct tf_cache_entry *entry, struct tf_object *ret_object, struct tf_error *error)
{
    struct tf_object object = {0};
    struct layout layout;
    int result = read_layout(entry->object_fd, &layout, error);
    if (result == 0)
        result = map(entry->object_fd, &layout, &object, error);
    if (result == 0)
        result = prepare(&object, &layout, error);
    if (result != 0) {
        tf_object_close(&object);
        return result;
    }
    *ret_object = object;
    return 0;
}

void tf_object_close(struct tf_object *object)
{
    if (object->whole.begin != NULL)
        munmap((void *)(uintptr_t)object->whole.begin, (size_t)(object->whole.end - object->whole.begin));
    *object = (struct tf_object){0};
}

static bool lies_in(struct tf_range range, const uint8_t *begin, size_t bytes)
{
    return begin >= range.begin && begin <= range.end && bytes <= (size_t)(range.end - begin);
}

bool tf_object_holds_constant(const struct tf_object *object, const void *address, size_t bytes)
{
    return address != NULL && (lies_in(object->text, address, bytes) || lies_in(object->data, address, bytes));
}
