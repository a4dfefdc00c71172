#include "compiler/embedded.h"

const struct tf_embedded_file tf_embedded_files[TF_EMBEDDED_COUNT] = {
    {"stdint.h", tf_embedded_stdint},
    {"wasm-rt.h", tf_embedded_types},
    {"terrafirma/abi.h", tf_embedded_abi},
    {"compiler/test_world.h", tf_embedded_test_world},
    {"arithmetic.h", tf_embedded_arithmetic},
    {"simde/wasm/simd128.h", tf_embedded_simd},
    {"simd_memory.h", tf_embedded_simd_memory},
    {"mem.h", tf_embedded_mem},
    {"instance.h", tf_embedded_instance},
    {"loops.h", tf_embedded_loops},
};
