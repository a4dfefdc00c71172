/* Texts that are compiled into the library and into the child (embedded.S), each followed by a NUL. */
#ifndef TF_COMPILER_EMBEDDED_H
#define TF_COMPILER_EMBEDDED_H

extern const char tf_embedded_abi[], tf_embedded_test_world[], tf_embedded_stdint[], tf_embedded_types[],
    tf_embedded_arithmetic[], tf_embedded_simd[], tf_embedded_simd_memory[], tf_embedded_mem[], tf_embedded_instance[],
    tf_embedded_loops[];

struct tf_embedded_file {
    const char *name; /* in the sandbox's job folder */
    const char *text;
};

/* The files generated C includes or is put together with. */
#define TF_EMBEDDED_COUNT 10
extern const struct tf_embedded_file tf_embedded_files[TF_EMBEDDED_COUNT];

#endif
