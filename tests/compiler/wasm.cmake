# What reads, judges and rewrites modules. The folder's CMakeLists.txt includes this.
foreach(name body module judge canonical)
    tf_test(wasm_${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_${name}_test.c LIBS tf_compiler_child)
endforeach()
tf_test(wasm_spec SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_spec.c LIBS tf_compiler_child PkgConfig::JANSSON TIMEOUT 300)
tf_test(wasm_corpus SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_wasm.c LIBS tf_compiler_child)
target_compile_definitions(test_wasm_corpus PRIVATE TF_FUZZ_REPLAY)
tf_test(wasm_memory SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_memory_test.c LIBS tf_compiler_child)
target_link_options(test_wasm_memory PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

# The fuzzer itself: cmake -D CMAKE_C_COMPILER=clang -D TF_FUZZ=ON, then ./fuzz_wasm FOLDER tests/compiler/wasm-corpus
option(TF_FUZZ "Build the fuzzers (needs clang and its runtime libraries)" OFF)
if(TF_FUZZ)
    include(${CMAKE_SOURCE_DIR}/compiler/wasm.cmake)
    add_executable(fuzz_wasm ${CMAKE_CURRENT_LIST_DIR}/fuzz_wasm.c ${TF_WASM_SOURCES})
    target_compile_options(fuzz_wasm PRIVATE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
    target_link_options(fuzz_wasm PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_libraries(fuzz_wasm PRIVATE tf_base)
endif()
