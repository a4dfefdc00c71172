# Modules that somebody else's generator makes, through our compiler and through wabt's interpreter; and modules that
# are made to hurt a compiler. The folder's CMakeLists.txt includes this.
add_executable(differential_run ${CMAKE_CURRENT_LIST_DIR}/differential_run.c)
target_link_libraries(differential_run PRIVATE tf_compiler tf_compiler_child ${CMAKE_DL_LIBS})
target_compile_definitions(differential_run PRIVATE TF_WABT_PREFIX_DEFAULT="${TF_WABT_PREFIX}")
add_dependencies(differential_run terrafirma-compiler)
foreach(profile strict fast)
    if(NOT TF_SANITIZE)
        add_test(NAME differential-${profile} COMMAND python3 -B ${CMAKE_CURRENT_LIST_DIR}/differential.py
            --build ${CMAKE_BINARY_DIR} --count 20 --profile ${profile} --seed ${profile})
        set_tests_properties(differential-${profile} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
    endif()
endforeach()
if(NOT TF_SANITIZE)
    add_test(NAME differential-loops COMMAND python3 -B ${CMAKE_CURRENT_LIST_DIR}/differential.py
        --build ${CMAKE_BINARY_DIR} --count 20 --loops --profile fast --seed loops)
    set_tests_properties(differential-loops PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
    add_test(NAME differential-simd COMMAND python3 -B ${CMAKE_CURRENT_LIST_DIR}/differential.py
        --build ${CMAKE_BINARY_DIR} --count 20 --simd --seed simd)
    set_tests_properties(differential-simd PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

tf_test(compile_attack SOURCES ${CMAKE_CURRENT_LIST_DIR}/compile_attack_test.c LIBS tf_compiler ${CMAKE_DL_LIBS}
    TIMEOUT 600 LABELS no-asan)
add_dependencies(test_compile_attack terrafirma-compiler)
target_compile_definitions(test_compile_attack PRIVATE TF_WABT_PREFIX_DEFAULT="${TF_WABT_PREFIX}")

tf_test(compile_bombs SOURCES ${CMAKE_CURRENT_LIST_DIR}/compile_bombs_test.c LIBS tf_compiler ${CMAKE_DL_LIBS}
    TIMEOUT 600 LABELS no-asan)
add_dependencies(test_compile_bombs terrafirma-compiler)
target_compile_definitions(test_compile_bombs PRIVATE TF_WABT_PREFIX_DEFAULT="${TF_WABT_PREFIX}")
if(NOT TF_SANITIZE)
    add_test(NAME compile_bombs_full COMMAND test_compile_bombs --full)
    add_test(NAME mutations COMMAND python3 -B ${CMAKE_CURRENT_LIST_DIR}/mutations.py)
    set_tests_properties(compile_bombs_full mutations PROPERTIES TIMEOUT 7200 LABELS long)
endif()
