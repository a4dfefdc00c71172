# What reads, judges and rewrites modules. The folder's CMakeLists.txt includes this.
foreach(name body module judge canonical)
    tf_test(wasm_${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_${name}_test.c LIBS tf_compiler)
endforeach()
tf_test(wasm_spec SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_spec.c LIBS tf_compiler PkgConfig::JANSSON TIMEOUT 300)
