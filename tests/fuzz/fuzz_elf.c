/* Any bytes as a linked object: the audit outside the sandbox, and what reads the linker's output inside. */
#include "fuzz.h"

#include "compiler/elf_audit.h"
#include "compiler/symbols.h"

#define FUNCTIONS_BYTES_MAX (1u << 20)

/* Held: what is accepted has its text and its descriptor inside the file. */
static void audit(const uint8_t *bytes, size_t length)
{
    struct tf_elf_facts facts;
    struct tf_error error = {0};
    uint8_t *const copy = fuzz_copy(bytes, length);
    if (tf_elf_audit(copy, length, &facts, &error) == 0) {
        fuzz_require(facts.text_begin < facts.text_end && facts.text_end <= length, "text outside the file");
        fuzz_require(facts.module_offset <= length && sizeof(facts.module) <= length - facts.module_offset,
                     "a descriptor outside the file");
    } else {
        fuzz_require(error.text[0] != 0, "a refusal without a reason");
    }
    free(copy);
}

static void strip(const uint8_t *bytes, size_t length)
{
    struct tf_wasm_module const canonical = {.func_count = 100};
    struct tf_buffer object, functions;
    tf_buffer_init(&object, length + 1);
    tf_buffer_init(&functions, FUNCTIONS_BYTES_MAX);
    if (length != 0 && tf_buffer_append(&object, bytes, length) == 0) {
        tf_symbols_functions(&object, &canonical, false, &functions, NULL);
        if (tf_symbols_strip(&object, NULL) == 0)
            fuzz_require(object.length <= length, "an object that grew");
    }
    tf_buffer_dispose(&object);
    tf_buffer_dispose(&functions);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    audit(bytes, length);
    strip(bytes, length);
    return 0;
}
