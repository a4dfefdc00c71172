/* The ELF audit, fed with objects that a compiler makes from C it should never see, and with broken bytes. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "compiler/elf_audit.h"
#include "compiler/flags.h"
#include "compiler/symbols.h"
#include "tests/check.h"

static char folder[] = "/tmp/terrafirma-elf-XXXXXX";

static const char good[] =
    "#include <stdint.h>\n#include <terrafirma/abi.h>\n"
    "static void run(void *instance) { (void)instance; }\n"
    "static void instantiate(void *instance, void *header) { (void)instance; (void)header; }\n"
    "__attribute__((visibility(\"default\"))) const struct tf_abi_module tf_module = {\n"
    "    .magic = TF_ABI_MAGIC, .abi_version = TF_ABI_VERSION, .struct_bytes = sizeof(tf_module),\n"
    "    .cpu_level = 2, .instantiate = instantiate, .run = run};\n";

/* Compiles `good` and `more`, links with our linker's command and `options`, strips. True: there is an object. */
static bool make(const char *more, const char *compile_options, const char *link_options, bool strips,
                 struct tf_buffer *object)
{
    char command[4096];
    struct tf_flags link;
    struct tf_error error;
    FILE *const source = fopen("unit.c", "w");
    fputs(good, source);
    fputs(more, source);
    fclose(source);
    snprintf(command, sizeof(command),
             "gcc -O1 -fPIC -fvisibility=hidden -fcf-protection=none -fno-asynchronous-unwind-tables "
             "-fno-stack-protector -I" TF_SOURCE_DIR "/include %s -c unit.c -o unit.o 2>log",
             compile_options);
    tf_buffer_clear(object);
    if (system(command) != 0)
        return false;
    /* The linker is given a list. */
    FILE *const objects = fopen("objects", "w");
    fputs("unit.o\n", objects);
    fclose(objects);
    tf_flags_link(&link);
    size_t length = 0;
    for (size_t i = 0; i < link.count; i++)
        length += (size_t)snprintf(command + length, sizeof(command) - length, "%s ", link.list[i]);
    snprintf(command + length, sizeof(command) - length, "%s 2>log", link_options);
    if (system(command) != 0 || tf_file_read(AT_FDCWD, "unit.so", object, &error) != 0)
        return false;
    return !strips || tf_symbols_strip(object, &error) == 0;
}

static void refused(const char *more, const char *compile_options, const char *link_options, const char *why)
{
    struct tf_buffer object;
    struct tf_elf_facts facts;
    struct tf_error error = {0};
    tf_buffer_init(&object, 1 << 24);
    CHECK_MESSAGE(make(more, compile_options, link_options, true, &object), "%s", more);
    CHECK_MESSAGE(tf_elf_audit(object.bytes, object.length, &facts, &error) == TF_ERR_AUDIT, "accepted: %s", more);
    CHECK_MESSAGE(strstr(error.text, why) != NULL, "%s: %s", more, error.text);
    tf_buffer_dispose(&object);
}

static void the_usual_object_passes(void)
{
    struct tf_buffer object;
    struct tf_elf_facts facts = {0};
    struct tf_error error = {0};
    tf_buffer_init(&object, 1 << 24);
    CHECK(make("", "", "", true, &object));
    CHECK_MESSAGE(tf_elf_audit(object.bytes, object.length, &facts, &error) == 0, "%s", error.text);
    CHECK(facts.module.magic == TF_ABI_MAGIC && facts.module.struct_bytes == sizeof(struct tf_abi_module));
    CHECK(facts.text_begin == 0 && facts.text_end > 0 && facts.text_end <= object.length);
    CHECK(make("", "", "", false, &object));
    CHECK(tf_elf_audit(object.bytes, object.length, &facts, &error) == TF_ERR_AUDIT); /* with its sections */
    tf_buffer_dispose(&object);
}

static void what_runs_at_load_is_refused(void)
{
    refused("__attribute__((constructor)) static void begin(void) { __asm__ volatile(\"nop\"); }", "", "",
            "constructor");
    refused("__attribute__((destructor)) static void end(void) { __asm__ volatile(\"nop\"); }", "", "", "destructor");
    refused("void _init(void) { __asm__ volatile(\"nop\"); }", "", "", "constructor");
    refused("void _fini(void) { __asm__ volatile(\"nop\"); }", "", "", "destructor");
    refused("static int one(void) { return 1; } static void *pick(void) { return one; }\n"
            "__attribute__((ifunc(\"pick\"))) int chosen(void);\n"
            "int (*const pointer)(void) = chosen; int use(void) { return chosen(); }", "", "", "");
}

static void foreign_symbols_are_refused(void)
{
    refused("__attribute__((visibility(\"default\"))) const int another = 1;", "", "", "other symbols");
    refused("__attribute__((visibility(\"default\"))) void another(void) {}", "", "", "other symbols");
    refused("extern int puts(const char *); int use(void) { return puts(\"\"); }", "", "-z undefs", "");
    refused("__attribute__((weak)) int elsewhere(void); int use(void) { return elsewhere(); }", "", "-z undefs", "");
    refused("", "", "/usr/lib/x86_64-linux-gnu/libc.so.6 --no-as-needed", "needs a library");
    refused("", "", "-rpath /tmp", "dynamic entry");
    refused("", "", "-soname x", "dynamic entry");
    refused("", "", "-Bsymbolic", "dynamic");
    refused("", "", "--hash-style=gnu", "");
}

static void memory_that_is_not_constant_is_refused(void)
{
    refused("int counter = 1; int use(void) { return counter++; }", "", "", "stays writable");
    refused("int zero; int use(void) { return zero++; }", "", "", "zero-filled");
    refused("static __thread int local = 1; int *use(void) { return &local; }", "-ftls-model=local-dynamic",
            "-z undefs", "");
    refused("", "", "-z execstack", "executable stack");
    refused("", "", "-z norelro", "lacks a segment");
    refused("", "", "-z separate-code", "");
    refused("", "", "--omagic", "");
    refused("int target; int *use(void) { int *p; __asm__(\"movabs $target, %0\" : \"=r\"(p)); return p; }", "",
            "-z notext", "");
    refused("", "", "--build-id=sha1", "unexpected kind");
}

/* Single changes to the bytes of a good object, each of which the dynamic linker would act on. */
static void patched_objects_are_refused(void)
{
    struct tf_buffer object;
    struct tf_elf_facts facts;
    struct tf_error error;
    tf_buffer_init(&object, 1 << 24);
    CHECK(make("", "", "", true, &object));
    Elf64_Ehdr *const header = (void *)object.bytes;
    Elf64_Phdr *const segments = (void *)(object.bytes + header->e_phoff);
#define PATCHED(place, value)                                                                      \
    do {                                                                                           \
        __typeof__(place) const before = (place);                                                  \
        (place) = (value);                                                                         \
        CHECK(tf_elf_audit(object.bytes, object.length, &facts, &error) == TF_ERR_AUDIT);          \
        (place) = before;                                                                          \
    } while (0)
    CHECK(tf_elf_audit(object.bytes, object.length, &facts, &error) == 0);
    PATCHED(header->e_type, ET_EXEC);
    PATCHED(header->e_machine, EM_386);
    PATCHED(header->e_phnum, 0);
    PATCHED(header->e_phnum, 0xffff);
    PATCHED(header->e_phoff, UINT64_MAX - 8);
    PATCHED(header->e_shnum, 1);
    for (int i = 0; i < header->e_phnum; i++) {
        PATCHED(segments[i].p_type, PT_INTERP);
        PATCHED(segments[i].p_type, PT_TLS);
        PATCHED(segments[i].p_type, PT_NOTE);
        PATCHED(segments[i].p_type, PT_GNU_PROPERTY);
        if (segments[i].p_type == PT_LOAD) {
            PATCHED(segments[i].p_flags, PF_R | PF_W | PF_X);
            PATCHED(segments[i].p_memsz, segments[i].p_memsz + 1);
            PATCHED(segments[i].p_filesz, UINT64_MAX);
            PATCHED(segments[i].p_vaddr, segments[i].p_vaddr + (1ull << 40));
            PATCHED(segments[i].p_align, 1);
        }
        if (segments[i].p_type == PT_DYNAMIC) {
            Elf64_Dyn *const entries = (void *)(object.bytes + segments[i].p_offset);
            PATCHED(entries[0].d_tag, DT_INIT);
            PATCHED(entries[0].d_tag, DT_FINI_ARRAY);
            PATCHED(entries[0].d_tag, DT_NEEDED);
            PATCHED(entries[0].d_tag, DT_AUDIT);
            PATCHED(entries[0].d_tag, DT_FILTER);
            PATCHED(entries[0].d_tag, DT_TEXTREL);
            PATCHED(entries[0].d_tag, DT_JMPREL);
            for (Elf64_Dyn *entry = entries; entry->d_tag != DT_NULL; entry++) {
                if (entry->d_tag == DT_RELACOUNT)
                    continue;
                PATCHED(entry->d_un.d_val, UINT64_MAX - 7);
                if (entry->d_tag != DT_STRSZ) /* one more byte of padding is no less a string */
                    PATCHED(entry->d_un.d_val, entry->d_un.d_val + 1);
            }
        }
    }
#undef PATCHED
    tf_buffer_dispose(&object);
}

static Elf64_Rela *find_relocations(struct tf_buffer *object, const Elf64_Phdr **ret_dynamic)
{
    const Elf64_Ehdr *const header = (void *)object->bytes;
    const Elf64_Phdr *const segments = (void *)(object->bytes + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type != PT_DYNAMIC)
            continue;
        *ret_dynamic = &segments[i];
        const Elf64_Dyn *entry = (void *)(object->bytes + segments[i].p_offset);
        for (; entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_RELA) /* in the first segment, where addresses are offsets */
                return (void *)(object->bytes + entry->d_un.d_ptr);
    }
    return NULL;
}

static void patched_relocations_are_refused(void)
{
    struct tf_buffer object;
    struct tf_elf_facts facts;
    struct tf_error error;
    const Elf64_Phdr *dynamic = NULL;
    tf_buffer_init(&object, 1 << 24);
    CHECK(make("", "", "", true, &object));
    Elf64_Rela *const rela = find_relocations(&object, &dynamic);
    CHECK(rela != NULL);
    if (rela != NULL) {
        Elf64_Rela const before = *rela;
        Elf64_Rela const bad[] = {{before.r_offset, R_X86_64_IRELATIVE, before.r_addend},
                                  {before.r_offset, ELF64_R_INFO(1, R_X86_64_64), before.r_addend},
                                  {before.r_offset, R_X86_64_COPY, before.r_addend},
                                  {64, R_X86_64_RELATIVE, before.r_addend},
                                  {before.r_offset + 1, R_X86_64_RELATIVE, before.r_addend},
                                  {UINT64_MAX - 3, R_X86_64_RELATIVE, before.r_addend},
                                  {dynamic->p_vaddr + 8, R_X86_64_RELATIVE, before.r_addend},
                                  {before.r_offset, R_X86_64_RELATIVE, -4096},
                                  {before.r_offset, R_X86_64_RELATIVE, 1ll << 32}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            *rela = bad[i];
            CHECK_MESSAGE(tf_elf_audit(object.bytes, object.length, &facts, &error) == TF_ERR_AUDIT, "relocation %zu",
                          i);
        }
        *rela = before;
        CHECK(tf_elf_audit(object.bytes, object.length, &facts, &error) == 0);
    }
    tf_buffer_dispose(&object);
}

/* Every prefix, and many random changes: refused or not, the audit reads nothing outside (run under a sanitizer). */
static void broken_bytes_do_no_harm(void)
{
    struct tf_buffer object;
    struct tf_elf_facts facts;
    struct tf_error error;
    tf_buffer_init(&object, 1 << 24);
    CHECK(make("", "", "", true, &object));
    for (size_t length = 0; length < object.length; length++) {
        uint8_t *const copy = malloc(length + 1);
        memcpy(copy, object.bytes, length);
        CHECK(tf_elf_audit(copy, length, &facts, &error) == TF_ERR_AUDIT);
        free(copy);
    }
    uint64_t state = 88172645463325252ull;
    for (int i = 0; i < 200000; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t const at = state % object.length;
        uint8_t const before = object.bytes[at];
        object.bytes[at] = (uint8_t)(state >> 32);
        tf_elf_audit(object.bytes, object.length, &facts, &error);
        object.bytes[at] = before;
    }
    CHECK(tf_elf_audit(object.bytes, object.length, &facts, &error) == 0);
    tf_buffer_dispose(&object);
}

int main(int argc, char **argv)
{
    static const struct tf_check_test tests[] = {
        TEST(the_usual_object_passes),     TEST(what_runs_at_load_is_refused),
        TEST(foreign_symbols_are_refused), TEST(memory_that_is_not_constant_is_refused),
        TEST(patched_objects_are_refused), TEST(patched_relocations_are_refused),
        TEST(broken_bytes_do_no_harm),
    };
    struct tf_error error;
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return 1;
    int const result = tf_check_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    if (chdir("/") != 0)
        return 1;
    int const tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tf_file_remove_tree(tmp, folder + strlen("/tmp/"), &error);
    close(tmp);
    return result;
}
