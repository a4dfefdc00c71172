#include "compiler/stock.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

struct known {
    size_t length;
    const char *sha256;
};

/* The two differ in the value of one macro: whether the module has exactly one memory. */
static const struct known source_preludes[] = {
    {24451, "1022d3b26898b2e40ca42d2e381c529002b6f95b607665f73cdfac2b40135ae0"},
    {24487, "f115dc8a126b9cfffb2b2bb8ca6cbb810abc3ac2ea3f53bb925f6153edc5e95e"},
};
static const struct known header_head = {454, "c092cee8a1b7cec78845a0934ec900446d144623f6c1384385d87f92047c423a"};
static const char header_tail[] = "#ifdef __cplusplus\n}\n#endif\n\n#endif  /* M_H_GENERATED_ */\n";

static bool starts_with(const uint8_t *text, size_t length, const struct known *known)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    if (length < known->length)
        return false;
    tf_hash_bytes(text, known->length, digest);
    tf_hash_hex(digest, hex);
    return strcmp(hex, known->sha256) == 0;
}

int tf_stock_source_prelude(const uint8_t *text, size_t length, size_t *ret_offset, struct tf_error *error)
{
    for (size_t i = 0; i < sizeof(source_preludes) / sizeof(source_preludes[0]); i++) {
        if (starts_with(text, length, &source_preludes[i])) {
            *ret_offset = source_preludes[i].length;
            return 0;
        }
    }
    return tf_error_set(error, TF_ERR_TOOLCHAIN,
                        "wasm2c writes a prelude that is not that of wabt " TF_STOCK_WABT_VERSION
                        ": run scripts/install-deps, which installs the supported version");
}

int tf_stock_header_middle(const uint8_t *text, size_t length, size_t *ret_begin, size_t *ret_end,
                           struct tf_error *error)
{
    size_t const tail = sizeof(header_tail) - 1;
    if (!starts_with(text, length, &header_head) || length < header_head.length + tail ||
        memcmp(text + length - tail, header_tail, tail) != 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN,
                            "wasm2c writes a header that is not that of wabt " TF_STOCK_WABT_VERSION
                            ": run scripts/install-deps, which installs the supported version");
    *ret_begin = header_head.length;
    *ret_end = length - tail;
    return 0;
}
