/*
 * The audit of a linked object: may it be mapped and run at all?
 *
 * Looks at what the dynamic linker looks at (ELF header, program headers, the dynamic section and what it points to),
 * in the file's own bytes, and demands the one shape that our linker command makes; anything else is refused, whether
 * harmless or not. Section headers must be gone: nothing reads them, and nothing hides behind them.
 *
 * After it is known: one executable read-only segment and at most one that is read-only once relocated, no writable
 * byte after that, no interpreter, TLS, executable stack, constructor, destructor, IFUNC, needed library, text
 * relocation or undefined symbol; relocations only add the load address; one exported symbol, tf_module, whose struct
 * lies whole in the file. A pure function over hostile bytes; any thread.
 */
#ifndef TF_COMPILER_ELF_AUDIT_H
#define TF_COMPILER_ELF_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/abi.h>
#include <terrafirma/error.h>

struct tf_elf_facts {
    uint64_t text_begin, text_end; /* of the executable segment, from the lowest address of the loaded object */
    uint64_t module_offset;        /* of tf_module in the file */
    /* tf_module as it is in the file: numbers are valid, pointers are not yet relocated. */
    struct tf_abi_module module;
};

/* `object` need not be aligned. Errors: AUDIT (says what). */
int tf_elf_audit(const uint8_t *object, size_t length, struct tf_elf_facts *ret_facts, struct tf_error *error);

#endif
