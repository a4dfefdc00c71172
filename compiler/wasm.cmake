# The reader, validator, judge and canonicaliser of modules.
set(TF_WASM_SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/wasm_canonical.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_constant.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_control.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_describe.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_exports.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_image.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_judge.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_opcodes.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_reach.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_reader.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_sections.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_segments.c
    ${CMAKE_CURRENT_LIST_DIR}/wasm_validate.c)
