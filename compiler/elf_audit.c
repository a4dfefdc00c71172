#include "compiler/elf_audit.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include <terrafirma/limits.h>

#define SEGMENTS_MAX 8
#define TAGS_MAX 32
#define RELOCATIONS_MAX (64u << 20)
/* Addresses of an object are offsets: more than this is no artifact. */
#define SPAN_MAX (2ull << 30)

struct audit {
    const uint8_t *bytes;
    size_t length;
    struct tf_error *error;
    Elf64_Phdr text, data, dynamic, relro;
    bool has_text, has_data, has_dynamic, has_relro, has_stack;
    /* The dynamic section. */
    uint64_t hash, strtab, symtab, strsz, rela, relasz, relacount;
    bool has_hash, has_strtab, has_symtab, has_strsz, has_syment, has_rela, has_relasz, has_relaent;
};

static int refuse(const struct audit *audit, const char *what)
{
    return tf_error_set(audit->error, TF_ERR_AUDIT, "the linked object %s", what);
}

/* ---- reading by address, as the dynamic linker would ---- */

static bool covers(const Elf64_Phdr *segment, bool is_there, uint64_t address, uint64_t bytes)
{
    return is_there && address >= segment->p_vaddr && address - segment->p_vaddr <= segment->p_filesz &&
           bytes <= segment->p_filesz - (address - segment->p_vaddr);
}

/* The file's bytes at an address, or NULL where no segment loads all of them. */
static const uint8_t *at_address(const struct audit *audit, uint64_t address, uint64_t bytes)
{
    if (covers(&audit->text, audit->has_text, address, bytes))
        return audit->bytes + audit->text.p_offset + (address - audit->text.p_vaddr);
    if (covers(&audit->data, audit->has_data, address, bytes))
        return audit->bytes + audit->data.p_offset + (address - audit->data.p_vaddr);
    return NULL;
}

static uint32_t u32_at(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

/* ---- ELF header and segments ---- */

static int audit_header(struct audit *audit, Elf64_Ehdr *header)
{
    static const uint8_t identity[EI_NIDENT] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
                                                ELFOSABI_SYSV};
    if (audit->length < sizeof(*header) || audit->length > SPAN_MAX)
        return refuse(audit, "is no ELF file of a sane size");
    memcpy(header, audit->bytes, sizeof(*header));
    if (memcmp(header->e_ident, identity, sizeof(identity)) != 0 || header->e_type != ET_DYN ||
        header->e_machine != EM_X86_64 || header->e_version != EV_CURRENT || header->e_flags != 0 ||
        header->e_ehsize != sizeof(*header))
        return refuse(audit, "is no shared object for x86-64");
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff != sizeof(*header) || header->e_phnum == 0 ||
        header->e_phnum > SEGMENTS_MAX || header->e_phnum * sizeof(Elf64_Phdr) > audit->length - sizeof(*header))
        return refuse(audit, "has program headers in an unusual place or number");
    if (header->e_shoff != 0 || header->e_shnum != 0 || header->e_shstrndx != SHN_UNDEF)
        return refuse(audit, "has section headers");
    return 0;
}

static int audit_load(struct audit *audit, const Elf64_Phdr *segment)
{
    bool const is_first = !audit->has_text;
    if (segment->p_offset > audit->length || segment->p_filesz > audit->length - segment->p_offset)
        return refuse(audit, "has a segment beyond its end");
    /* Equal sizes: nothing is zero-filled, so that what runs is what was hashed. */
    if (segment->p_filesz != segment->p_memsz || segment->p_memsz == 0)
        return refuse(audit, "has a segment with zero-filled memory (a writable variable)");
    if (segment->p_align != TF_HOST_PAGE_BYTES || segment->p_vaddr > SPAN_MAX || segment->p_memsz > SPAN_MAX ||
        segment->p_vaddr % TF_HOST_PAGE_BYTES != segment->p_offset % TF_HOST_PAGE_BYTES)
        return refuse(audit, "has a segment with unusual addresses");
    if (is_first) {
        if (segment->p_flags != (PF_R | PF_X) || segment->p_vaddr != 0 || segment->p_offset != 0)
            return refuse(audit, "does not begin with one segment that is read and executed");
        audit->text = *segment;
        audit->has_text = true;
        return 0;
    }
    if (audit->has_data || segment->p_flags != (PF_R | PF_W))
        return refuse(audit, "has more segments than code and relocated constants");
    uint64_t const text_end = (audit->text.p_memsz + TF_HOST_PAGE_BYTES - 1) & ~(uint64_t)(TF_HOST_PAGE_BYTES - 1);
    if (segment->p_vaddr < text_end)
        return refuse(audit, "has overlapping segments");
    audit->data = *segment;
    audit->has_data = true;
    return 0;
}

static int audit_segment(struct audit *audit, const Elf64_Phdr *segment)
{
    switch (segment->p_type) {
    case PT_LOAD:
        return audit_load(audit, segment);
    case PT_DYNAMIC:
        if (audit->has_dynamic)
            return refuse(audit, "has two dynamic sections");
        audit->dynamic = *segment;
        audit->has_dynamic = true;
        return 0;
    case PT_GNU_RELRO:
        if (audit->has_relro)
            return refuse(audit, "has two RELRO segments");
        audit->relro = *segment;
        audit->has_relro = true;
        return 0;
    case PT_GNU_STACK:
        if (segment->p_flags != (PF_R | PF_W))
            return refuse(audit, "wants an executable stack");
        audit->has_stack = true;
        return 0;
    case PT_TLS:
        return refuse(audit, "has thread-local storage");
    case PT_INTERP:
        return refuse(audit, "names an interpreter");
    default:
        return refuse(audit, "has a segment of an unexpected kind");
    }
}

static int audit_segments(struct audit *audit, const Elf64_Ehdr *header)
{
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, audit->bytes + header->e_phoff + i * sizeof(segment), sizeof(segment));
        int const code = audit_segment(audit, &segment);
        if (code != 0)
            return code;
    }
    if (!audit->has_text || !audit->has_data || !audit->has_dynamic || !audit->has_relro)
        return refuse(audit, "lacks a segment that it must have");
    /* Absent, the dynamic linker would make every stack executable. */
    if (!audit->has_stack)
        return refuse(audit, "wants an executable stack");
    /* The dynamic linker protects whole pages, rounding the end down: what it leaves would stay writable. */
    uint64_t const protected_end = (audit->relro.p_vaddr + audit->relro.p_memsz) & ~(uint64_t)(TF_HOST_PAGE_BYTES - 1);
    if (audit->relro.p_memsz > SPAN_MAX || audit->relro.p_vaddr > audit->data.p_vaddr ||
        protected_end < audit->data.p_vaddr + audit->data.p_memsz)
        return refuse(audit, "has data that stays writable");
    uint64_t const end = audit->data.p_offset + audit->data.p_filesz;
    if (audit->length != (end > audit->text.p_filesz ? end : audit->text.p_filesz))
        return refuse(audit, "has bytes that no segment loads");
    return 0;
}

/* ---- the dynamic section ---- */

static int once(struct audit *audit, bool *seen, uint64_t *ret_value, uint64_t value)
{
    if (*seen)
        return refuse(audit, "repeats a dynamic entry");
    *seen = true;
    if (ret_value != NULL)
        *ret_value = value;
    return 0;
}

static int audit_tag(struct audit *audit, int64_t tag, uint64_t value)
{
    switch (tag) {
    case DT_HASH:
        return once(audit, &audit->has_hash, &audit->hash, value);
    case DT_STRTAB:
        return once(audit, &audit->has_strtab, &audit->strtab, value);
    case DT_SYMTAB:
        return once(audit, &audit->has_symtab, &audit->symtab, value);
    case DT_STRSZ:
        return once(audit, &audit->has_strsz, &audit->strsz, value);
    case DT_SYMENT:
        return value == sizeof(Elf64_Sym) ? once(audit, &audit->has_syment, NULL, 0)
                                          : refuse(audit, "has symbols of an unusual size");
    case DT_RELA:
        return once(audit, &audit->has_rela, &audit->rela, value);
    case DT_RELASZ:
        return once(audit, &audit->has_relasz, &audit->relasz, value);
    case DT_RELAENT:
        return value == sizeof(Elf64_Rela) ? once(audit, &audit->has_relaent, NULL, 0)
                                           : refuse(audit, "has relocations of an unusual size");
    case DT_RELACOUNT: /* how many come first and are relative: all of them */
        audit->relacount = value;
        return 0;
    case DT_FLAGS:
        return value == DF_BIND_NOW ? 0 : refuse(audit, "has unusual dynamic flags");
    case DT_FLAGS_1:
        return value == DF_1_NOW ? 0 : refuse(audit, "has unusual dynamic flags");
    case DT_NEEDED:
        return refuse(audit, "needs a library");
    case DT_INIT:
    case DT_INIT_ARRAY:
    case DT_PREINIT_ARRAY:
        return refuse(audit, "has a constructor");
    case DT_FINI:
    case DT_FINI_ARRAY:
        return refuse(audit, "has a destructor");
    case DT_TEXTREL:
        return refuse(audit, "has text relocations");
    default:
        return refuse(audit, "has a dynamic entry of an unexpected kind");
    }
}

static int audit_dynamic(struct audit *audit)
{
    const Elf64_Phdr *const segment = &audit->dynamic;
    uint64_t const count = segment->p_filesz / sizeof(Elf64_Dyn);
    const uint8_t *const bytes = at_address(audit, segment->p_vaddr, segment->p_filesz);
    if (!covers(&audit->data, audit->has_data, segment->p_vaddr, segment->p_filesz) || bytes == NULL ||
        segment->p_filesz != segment->p_memsz || count > TAGS_MAX || segment->p_vaddr % 8 != 0)
        return refuse(audit, "has a dynamic section in an unusual place");
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Dyn entry;
        memcpy(&entry, bytes + i * sizeof(entry), sizeof(entry));
        if (entry.d_tag == DT_NULL) {
            if (!audit->has_hash || !audit->has_strtab || !audit->has_symtab || !audit->has_strsz ||
                !audit->has_syment)
                return refuse(audit, "lacks a dynamic entry that it must have");
            return 0;
        }
        int const code = audit_tag(audit, entry.d_tag, entry.d_un.d_val);
        if (code != 0)
            return code;
    }
    return refuse(audit, "has a dynamic section without an end");
}

/* ---- symbols: the null one and tf_module ---- */

static int audit_hash(struct audit *audit)
{
    const uint8_t *bytes = at_address(audit, audit->hash, 8);
    if (bytes == NULL || audit->hash % 4 != 0)
        return refuse(audit, "has a hash table outside its segments");
    uint64_t const buckets = u32_at(bytes), chains = u32_at(bytes + 4);
    if (chains != 2)
        return refuse(audit, "has other symbols than tf_module (exported or undefined)");
    if (buckets == 0 || buckets > 16 || (bytes = at_address(audit, audit->hash, 4 * (2 + buckets + chains))) == NULL)
        return refuse(audit, "has a broken hash table");
    for (uint64_t i = 0; i < buckets; i++)
        if (u32_at(bytes + 8 + 4 * i) > 1)
            return refuse(audit, "has a broken hash table");
    for (uint64_t i = 0; i < chains; i++)
        if (u32_at(bytes + 8 + 4 * (buckets + i)) != 0)
            return refuse(audit, "has a broken hash table");
    return 0;
}

static int audit_symbols(struct audit *audit, struct tf_elf_facts *facts)
{
    Elf64_Sym symbols[2];
    static const Elf64_Sym null_symbol;
    int const code = audit_hash(audit);
    if (code != 0)
        return code;
    const uint8_t *const bytes = at_address(audit, audit->symtab, sizeof(symbols));
    if (bytes == NULL || audit->symtab % 8 != 0)
        return refuse(audit, "has symbols outside its segments");
    memcpy(symbols, bytes, sizeof(symbols));
    const Elf64_Sym *const symbol = &symbols[1];
    if (memcmp(&symbols[0], &null_symbol, sizeof(null_symbol)) != 0 || audit->strsz < sizeof(TF_ABI_SYMBOL) ||
        audit->strsz > 4096)
        return refuse(audit, "has broken symbols");
    const uint8_t *const names = at_address(audit, audit->strtab, audit->strsz);
    if (names == NULL || names[audit->strsz - 1] != 0 || symbol->st_name > audit->strsz - sizeof(TF_ABI_SYMBOL) ||
        memcmp(names + symbol->st_name, TF_ABI_SYMBOL, sizeof(TF_ABI_SYMBOL)) != 0)
        return refuse(audit, "exports something else than tf_module");
    if (symbol->st_info != ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT) || symbol->st_other != STV_DEFAULT)
        return refuse(audit, "exports tf_module as something else than data");
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
        return refuse(audit, "does not define tf_module");
    if (symbol->st_size < sizeof(facts->module) || symbol->st_size > TF_HOST_PAGE_BYTES || symbol->st_value % 8 != 0 ||
        !covers(&audit->data, audit->has_data, symbol->st_value, symbol->st_size))
        return refuse(audit, "has tf_module outside its relocated constants");
    facts->module_offset = audit->data.p_offset + (symbol->st_value - audit->data.p_vaddr);
    memcpy(&facts->module, audit->bytes + facts->module_offset, sizeof(facts->module));
    return 0;
}

/* ---- relocations ---- */

static int audit_relocations(struct audit *audit)
{
    uint64_t const end = audit->data.p_vaddr + audit->data.p_memsz;
    if (!audit->has_rela && !audit->has_relasz && !audit->has_relaent)
        return 0;
    uint64_t const count = audit->relasz / sizeof(Elf64_Rela);
    const uint8_t *const bytes = at_address(audit, audit->rela, audit->relasz);
    if (!audit->has_rela || !audit->has_relasz || !audit->has_relaent || audit->relasz % sizeof(Elf64_Rela) != 0 ||
        count > RELOCATIONS_MAX || bytes == NULL || audit->rela % 8 != 0 || audit->relacount > count)
        return refuse(audit, "has broken relocations");
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Rela entry;
        memcpy(&entry, bytes + i * sizeof(entry), sizeof(entry));
        if (entry.r_info != ELF64_R_INFO(0, R_X86_64_RELATIVE))
            return refuse(audit, "has a relocation that does more than add the load address (IFUNC, symbol, copy)");
        if (!covers(&audit->data, audit->has_data, entry.r_offset, 8) || entry.r_offset % 8 != 0)
            return refuse(audit, "relocates something else than its constants");
        /* It would change what was audited above after the fact. */
        if (entry.r_offset + 8 > audit->dynamic.p_vaddr &&
            entry.r_offset < audit->dynamic.p_vaddr + audit->dynamic.p_memsz)
            return refuse(audit, "relocates its own dynamic section");
        if ((uint64_t)entry.r_addend > end)
            return refuse(audit, "relocates to an address outside itself");
    }
    return 0;
}

int tf_elf_audit(const uint8_t *object, size_t length, struct tf_elf_facts *ret_facts, struct tf_error *error)
{
    struct audit audit = {.bytes = object, .length = length, .error = error};
    struct tf_elf_facts facts = {0};
    Elf64_Ehdr header;
    int code = audit_header(&audit, &header);
    if (code == 0)
        code = audit_segments(&audit, &header);
    if (code == 0)
        code = audit_dynamic(&audit);
    if (code == 0)
        code = audit_symbols(&audit, &facts);
    if (code == 0)
        code = audit_relocations(&audit);
    if (code != 0)
        return code;
    facts.text_begin = audit.text.p_vaddr;
    facts.text_end = audit.text.p_vaddr + audit.text.p_memsz;
    *ret_facts = facts;
    return 0;
}
