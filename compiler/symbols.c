#include "compiler/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include <terrafirma/manifest.h>

static bool in_file(const struct tf_buffer *object, uint64_t offset, uint64_t bytes)
{
    return offset <= object->length && bytes <= object->length - offset;
}

/* The ELF header, or NULL. */
static Elf64_Ehdr *header_of(const struct tf_buffer *object)
{
    Elf64_Ehdr *const header = (void *)object->bytes;
    if (object->length < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr) ||
        !in_file(object, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr)))
        return NULL;
    return header;
}

/* "f12", "run", "x3" … (with wasm2c's suffix "_0" gone) as a function index, or -1. */
static int64_t index_of(const char *name, size_t length, const struct tf_wasm_module *canonical, bool is_test_world)
{
    char digits[16];
    bool const is_numbered = length >= 2 && length < sizeof(digits) && (name[0] == 'f' || name[0] == 'x') &&
                             name[1] >= '0' && name[1] <= '9';
    if (!is_numbered) {
        for (uint32_t i = 0; i < canonical->export_count; i++)
            if (canonical->exports[i].kind == TF_WASM_FUNC && canonical->exports[i].name.length == length &&
                canonical->exports[i].name.bytes[0] != 'x' &&
                memcmp(canonical->exports[i].name.bytes, name, length) == 0)
                return canonical->exports[i].index;
        return -1;
    }
    memcpy(digits, name + 1, length - 1);
    digits[length - 1] = 0;
    uint64_t const number = strtoull(digits, NULL, 10);
    if (name[0] == 'f' || !is_test_world)
        return number < canonical->func_count ? (int64_t)number : -1;
    /* The test world's canonical module exports what its source does, in the same order. */
    return number < canonical->export_count && canonical->exports[number].kind == TF_WASM_FUNC
               ? (int64_t)canonical->exports[number].index
               : -1;
}

static int64_t function_of(const char *name, size_t bytes_max, const struct tf_wasm_module *canonical,
                           bool is_test_world)
{
    /* The shim's wrappers bear the names of what they call, and often hold it whole. */
    static const char wasm2c[] = "w2c_m_", shim[] = "tf_";
    size_t const length = strnlen(name, bytes_max);
    const char *start;
    if (length == bytes_max)
        return -1;
    if (strncmp(name, wasm2c, sizeof(wasm2c) - 1) == 0)
        start = name + sizeof(wasm2c) - 1;
    else if (strncmp(name, shim, sizeof(shim) - 1) == 0)
        start = name + sizeof(shim) - 1;
    else
        return -1;
    /* A compiler names parts and copies of a function "name.part.0". */
    size_t end = strcspn(start, ".");
    if (end > 2 && memcmp(start + end - 2, "_0", 2) == 0)
        end -= 2;
    return index_of(start, end, canonical, is_test_world);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct tf_manifest_function *const x = a, *const y = b;
    return x->text_offset < y->text_offset ? -1 : x->text_offset > y->text_offset;
}

static const Elf64_Shdr *find_symbols(const struct tf_buffer *object, const Elf64_Ehdr *header,
                                      const Elf64_Shdr **ret_names)
{
    if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff % 8 != 0 ||
        !in_file(object, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)))
        return NULL;
    const Elf64_Shdr *const sections = (const void *)(object->bytes + header->e_shoff);
    for (uint32_t i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *const section = &sections[i];
        if (section->sh_type != SHT_SYMTAB || section->sh_link >= header->e_shnum || section->sh_offset % 8 != 0)
            continue;
        *ret_names = &sections[section->sh_link];
        if (in_file(object, section->sh_offset, section->sh_size) &&
            in_file(object, (*ret_names)->sh_offset, (*ret_names)->sh_size))
            return section;
    }
    return NULL;
}

int tf_symbols_functions(const struct tf_buffer *object, const struct tf_wasm_module *canonical, bool is_test_world,
                         struct tf_buffer *functions, struct tf_error *error)
{
    const Elf64_Ehdr *const header = header_of(object);
    const Elf64_Shdr *names = NULL;
    const Elf64_Shdr *const table = header != NULL ? find_symbols(object, header, &names) : NULL;
    if (table == NULL)
        return tf_error_set(error, TF_ERR_AUDIT, "the linker left no object with symbols");
    const Elf64_Sym *const symbols = (const void *)(object->bytes + table->sh_offset);
    for (uint64_t i = 0; i < table->sh_size / sizeof(*symbols); i++) {
        const Elf64_Sym *const symbol = &symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_name >= names->sh_size ||
            symbol->st_size == 0 || symbol->st_size > UINT32_MAX)
            continue;
        int64_t const index = function_of((const char *)object->bytes + names->sh_offset + symbol->st_name,
                                          names->sh_size - symbol->st_name, canonical, is_test_world);
        if (index < 0)
            continue;
        struct tf_manifest_function const function = {symbol->st_value, (uint32_t)symbol->st_size, (uint32_t)index};
        tf_buffer_append(functions, &function, sizeof(function));
    }
    if (functions->failed)
        return tf_error_set(error, TF_ERR_LIMIT, "the object has too many symbols");
    if (functions->length != 0)
        qsort(functions->bytes, functions->length / sizeof(struct tf_manifest_function),
              sizeof(struct tf_manifest_function), compare_offsets);
    return 0;
}

int tf_symbols_strip(struct tf_buffer *object, struct tf_error *error)
{
    Elf64_Ehdr *const header = header_of(object);
    uint64_t end = 0;
    if (header == NULL)
        return tf_error_set(error, TF_ERR_AUDIT, "the linker left no ELF object");
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, object->bytes + header->e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type != PT_LOAD)
            continue;
        if (!in_file(object, segment.p_offset, segment.p_filesz))
            return tf_error_set(error, TF_ERR_AUDIT, "the linker left an object that is cut short");
        if (segment.p_offset + segment.p_filesz > end)
            end = segment.p_offset + segment.p_filesz;
    }
    if (end < sizeof(*header))
        return tf_error_set(error, TF_ERR_AUDIT, "the linker left an object without segments");
    header->e_shoff = 0;
    header->e_shnum = 0;
    header->e_shstrndx = SHN_UNDEF;
    header->e_shentsize = 0;
    object->length = (size_t)end;
    return 0;
}
