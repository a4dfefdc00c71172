/* Any bytes as generated C. Held: what is accepted has none of what C text could do harm with. */
#include "fuzz.h"

#include "compiler/stock.h"
#include "compiler/text_audit.h"

static bool holds(const uint8_t *bytes, size_t length, const char *text)
{
    return length != 0 && memmem(bytes, length, text, strlen(text)) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char *const harmful[] = {"__asm",   "__attribute__", "#include", "#pragma", "#define u32", "//",
                                          "??",      "%:",            "extern ",  "\\\n",     "#line",       "_Pragma",
                                          "__builtin", "constructor", "incbin",   "sizeof",   "volatile",    "\r"};
    static const enum tf_text_kind kinds[] = {TF_TEXT_HEADER, TF_TEXT_SOURCE};
    for (size_t i = 0; i < 2; i++) {
        struct tf_error error = {0};
        uint8_t *const copy = fuzz_copy(bytes, length);
        size_t begin, end;
        if (tf_text_audit(kinds[i], copy, length, &error) != 0)
            fuzz_require(error.text[0] != 0, "a refusal without a reason");
        else
            /* In a comment, which holds letters and no more than ends it, nothing is harmful. */
            for (size_t j = 0; !holds(copy, length, "/*") && j < sizeof(harmful) / sizeof(harmful[0]); j++)
                fuzz_require(!holds(copy, length, harmful[j]), harmful[j]);
        tf_stock_source_prelude(copy, length, &begin, NULL);
        tf_stock_header_middle(copy, length, &begin, &end, NULL);
        free(copy);
    }
    return 0;
}
