# What reads, judges and rewrites modules. The folder's CMakeLists.txt includes this.
tf_test(wasm_spec SOURCES ${CMAKE_CURRENT_LIST_DIR}/wasm_spec.c LIBS tf_compiler PkgConfig::JANSSON TIMEOUT 300)
