/* Any bytes as generated C. Held: what is accepted has none of what C text could do harm with, nor has what becomes of
 * it with its loops in two versions, which is not much longer. */
#include "fuzz.h"

#include "compiler/loops.h"
#include "compiler/stock.h"
#include "compiler/text_audit.h"

static bool holds(const uint8_t *bytes, size_t length, const char *text)
{
    return length != 0 && memmem(bytes, length, text, strlen(text)) != NULL;
}

static void require_harmless(const uint8_t *text, size_t length)
{
    static const char *const harmful[] = {"__asm",   "__attribute__", "#include", "#pragma", "#define u32", "//",
                                          "??",      "%:",            "extern ",  "\\\n",     "#line",       "_Pragma",
                                          "__builtin", "constructor", "incbin",   "sizeof",   "volatile",    "\r"};
    /* In a comment, which holds letters and no more than ends it, nothing is harmful. */
    for (size_t i = 0; !holds(text, length, "/*") && i < sizeof(harmful) / sizeof(harmful[0]); i++)
        fuzz_require(!holds(text, length, harmful[i]), harmful[i]);
}

static void version_loops(const uint8_t *text, size_t length)
{
    struct tf_buffer versioned;
    struct tf_error error = {0};
    tf_buffer_init(&versioned, 64u << 20);
    if (tf_loops_version(text, length, &versioned, &error) == 0) {
        fuzz_require(versioned.length >= length && versioned.length <= 16384 + 64 * length, "a length out of bounds");
        if (tf_text_audit_versioned(TF_TEXT_SOURCE, versioned.bytes, versioned.length, &error) == 0)
            require_harmless(versioned.bytes, versioned.length);
    }
    tf_buffer_dispose(&versioned);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const enum tf_text_kind kinds[] = {TF_TEXT_HEADER, TF_TEXT_SOURCE};
    for (size_t i = 0; i < 2; i++) {
        struct tf_error error = {0};
        uint8_t *const copy = fuzz_copy(bytes, length);
        size_t begin, end;
        if (tf_text_audit(kinds[i], copy, length, &error) != 0)
            fuzz_require(error.text[0] != 0, "a refusal without a reason");
        else
            require_harmless(copy, length);
        version_loops(copy, length);
        tf_stock_source_prelude(copy, length, &begin, NULL);
        tf_stock_header_middle(copy, length, &begin, &end, NULL);
        free(copy);
    }
    return 0;
}
