# The host functions alone, on a guest made of a byte array (worlds_fake.h).
file(GLOB worlds_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/worlds/*.c)
foreach(part outbound request response system)
    tf_test(worlds_${part}
        SOURCES worlds_${part}.c worlds_fake.c ${worlds_sources}
        LIBS tf_base
        LABELS asan)
endforeach()
