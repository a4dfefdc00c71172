# How guests are built: tf_guest_c(<output> <source>…) and tf_guest_wat(<output> <source>) make one .wasm each and
# append it to the caller's list `guests`. Tools are found, or the configuration fails and says which package has them.

set(TF_WABT_PREFIX /opt/terrafirma/wabt-1.0.36 CACHE PATH "Where scripts/install-deps put wabt")
find_program(TF_WASM_CC NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14
    DOC "A clang that knows the target wasm32")
find_program(TF_WASM_LD NAMES wasm-ld wasm-ld-19 wasm-ld-18 wasm-ld-17 wasm-ld-16 wasm-ld-15 wasm-ld-14
    DOC "The linker for wasm32")
find_program(TF_WAT2WASM NAMES wat2wasm HINTS ${TF_WABT_PREFIX}/bin NO_DEFAULT_PATH)
find_program(TF_WAT2WASM NAMES wat2wasm)
foreach(tool TF_WASM_CC TF_WASM_LD TF_WAT2WASM)
    if(NOT ${tool})
        message(FATAL_ERROR "${tool} was not found: examples and test guests need clang, lld and wabt "
            "(scripts/install-deps installs them). Give its path with -D${tool}=…, or leave guests out with "
            "-DTF_GUESTS=OFF.")
    endif()
endforeach()

set(TF_GUEST_LIBRARY ${CMAKE_CURRENT_LIST_DIR}/include/terrafirma/guest.c)
set(TF_GUEST_HEADER ${CMAKE_CURRENT_LIST_DIR}/include/terrafirma/guest.h)
# The stack lies below the data, so that running over its end is a trap and not a changed variable.
set(TF_GUEST_FLAGS --target=wasm32 -std=gnu11 -O2 -mbulk-memory -ffreestanding -nostdlib -fvisibility=hidden
    -Wall -Wextra -Werror -I ${CMAKE_CURRENT_LIST_DIR}/include)
set(TF_GUEST_LINK_FLAGS --no-entry --export=run --strip-all --stack-first -z stack-size=65536)

function(tf_guest_c output)
    get_filename_component(folder ${output} DIRECTORY)
    get_filename_component(name ${output} NAME_WE)
    file(MAKE_DIRECTORY ${folder} ${CMAKE_CURRENT_BINARY_DIR}/objects)
    # Objects are named after the output: guests share sources.
    set(objects)
    set(commands)
    set(number 0)
    foreach(source ${ARGN})
        set(object ${CMAKE_CURRENT_BINARY_DIR}/objects/${name}-${number}.o)
        list(APPEND objects ${object})
        list(APPEND commands COMMAND ${TF_WASM_CC} ${TF_GUEST_FLAGS} ${TF_GUEST_EXTRA_FLAGS} -c -o ${object} ${source})
        math(EXPR number "${number} + 1")
    endforeach()
    add_custom_command(OUTPUT ${output} ${commands}
        COMMAND ${TF_WASM_LD} ${TF_GUEST_LINK_FLAGS} -o ${output} ${objects}
        DEPENDS ${ARGN} ${TF_GUEST_HEADER} VERBATIM)
    set(guests ${guests} ${output} PARENT_SCOPE)
endfunction()

function(tf_guest_wat output source)
    get_filename_component(folder ${output} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${output} COMMAND ${TF_WAT2WASM} ${TF_GUEST_WAT_FLAGS} -o ${output} ${source}
        DEPENDS ${source} VERBATIM)
    set(guests ${guests} ${output} PARENT_SCOPE)
endfunction()
