    .section .rodata
    .macro embed name, file
    .globl \name
    .type \name, @object
\name:
    .incbin "\file"
    .byte 0
    .size \name, . - \name
    .endm

    embed tf_embedded_abi, TF_FILE_ABI
    embed tf_embedded_test_world, TF_FILE_TEST_WORLD
    embed tf_embedded_stdint, TF_FILE_STDINT
    embed tf_embedded_types, TF_FILE_TYPES
    embed tf_embedded_arithmetic, TF_FILE_ARITHMETIC
    embed tf_embedded_simd, TF_FILE_SIMD
    embed tf_embedded_simd_memory, TF_FILE_SIMD_MEMORY
    embed tf_embedded_mem, TF_FILE_MEM
    embed tf_embedded_instance, TF_FILE_INSTANCE
    embed tf_embedded_loops, TF_FILE_LOOPS

    .section .note.GNU-stack, "", @progbits
