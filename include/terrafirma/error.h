/*
 * What can go wrong, across every folder.
 *
 * A function that can fail returns 0 or one of these codes (all negative) and, where it takes a `struct tf_error *`,
 * leaves a sentence there that names the file, the limit or the import and what to do about it. Outputs (`ret_…`) are
 * untouched on failure. A guest that ends badly is not an error but an outcome (runtime/runtime.h).
 */
#ifndef TERRAFIRMA_ERROR_H
#define TERRAFIRMA_ERROR_H

#define TF_ERROR_TEXT_BYTES 512

#define TF_ERROR_ROWS(X)                                                                           \
    X(SYSTEM, -1, "a system call failed")                                                          \
    X(MALFORMED, -2, "the bytes are not a WebAssembly module")                                     \
    X(INVALID, -3, "the module does not validate")                                                 \
    X(REFUSED, -4, "the module is valid, but is not served here")                                  \
    X(LIMIT, -5, "a limit was exceeded")                                                           \
    X(TOOLCHAIN, -6, "a tool is missing, of another version, or failed")                           \
    X(TIMEOUT, -7, "the time for it ran out")                                                      \
    X(NOT_FOUND, -8, "not found")                                                                  \
    X(CORRUPT, -9, "stored bytes do not match their hash or format")                               \
    X(ABI, -10, "built for another ABI version")                                                   \
    X(CPU, -11, "built for a CPU level that this machine lacks")                                   \
    X(AUDIT, -12, "a built artifact failed its audit")                                             \
    X(USAGE, -13, "wrong use or configuration")                                                    \
    X(NO_SLOT, -14, "no free slot")                                                                \
    X(GUEST, -15, "the guest failed while it was set up")                                          \
    X(BUSY, -16, "in use by another process")                                                      \
    X(CHANGED, -17, "the file changed while it was read")                                          \
    X(CANCELLED, -18, "nobody wants it any more")                                                  \
    X(NO_MEMORY, -19, "no memory left for it now")                                                 \
    X(TRUST, -20, "not signed by whom this cache trusts, or revoked")

enum tf_error_code {
    TF_OK = 0,
#define X(name, value, text) TF_ERR_##name = value,
    TF_ERROR_ROWS(X)
#undef X
};

struct tf_error {
    int code; /* enum tf_error_code */
    char text[TF_ERROR_TEXT_BYTES];
};

#endif
