# The host functions alone, on a guest made of a byte array (worlds_fake.h).
file(GLOB worlds_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/worlds/*.c)
foreach(part kv matrix outbound request response system wasi wasi_files)
    tf_test(worlds_${part}
        SOURCES worlds_${part}.c worlds_fake.c ${worlds_sources}
        LIBS tf_base
        LABELS asan)
endforeach()

# What the fuzzer of all host functions has found so far, replayed.
add_executable(fuzz_calls_replay fuzz_calls.c worlds_fake.c ${worlds_sources})
target_compile_definitions(fuzz_calls_replay PRIVATE TF_FUZZ_REPLAY)
target_link_libraries(fuzz_calls_replay PRIVATE tf_base)
add_test(NAME ${TF_TEST_PREFIX}fuzz_calls_replay
    COMMAND fuzz_calls_replay ${CMAKE_CURRENT_SOURCE_DIR}/calls-corpus)
set_tests_properties(${TF_TEST_PREFIX}fuzz_calls_replay PROPERTIES TIMEOUT 120)
# The fuzzer itself: cmake -D CMAKE_C_COMPILER=clang -D TF_FUZZ=ON, then ./fuzz_calls FOLDER tests/runtime/calls-corpus
if(TF_FUZZ)
    add_executable(fuzz_calls fuzz_calls.c worlds_fake.c ${worlds_sources} ${CMAKE_SOURCE_DIR}/base/arena.c
        ${CMAKE_SOURCE_DIR}/base/file.c ${CMAKE_SOURCE_DIR}/base/buffer.c ${CMAKE_SOURCE_DIR}/base/error.c)
    target_compile_options(fuzz_calls PRIVATE -fsanitize=fuzzer,address,undefined -fno-sanitize=function)
    target_link_options(fuzz_calls PRIVATE -fsanitize=fuzzer,address,undefined)
endif()
