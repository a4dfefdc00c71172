/*
 * Vector loads and stores; part of mem.h where a module uses SIMD. Alignment is a hint in WebAssembly: every access is
 * one of bytes. A vector that is put together from one cell traps like that cell.
 */
TF_DEFINE_LOAD(v128_load, v128, v128, v128, TF_KEEP_FLOAT)
TF_DEFINE_STORE(v128_store, v128, v128)

#define TF_DEFINE_VECTOR_LOAD(name, cell, expression)                                                                  \
    typedef cell tf_cell_##name __attribute__((aligned(1), may_alias));                                                \
    static inline __attribute__((always_inline)) v128 name(const wasm_rt_memory_t *memory, u64 address)                \
    {                                                                                                                  \
        cell const value = *(const tf_cell_##name *)(TF_BASE(memory) + address);                                       \
        v128 const result = (v128)(expression);                                                                        \
        TF_KEEP_FLOAT(result);                                                                                         \
        return result;                                                                                                 \
    }
#define TF_PAIR(value) ((v128)(tf_u64x2){value, 0})
TF_DEFINE_VECTOR_LOAD(v128_load8_splat, u8, simde_wasm_i8x16_splat(value))
TF_DEFINE_VECTOR_LOAD(v128_load16_splat, u16, simde_wasm_i16x8_splat(value))
TF_DEFINE_VECTOR_LOAD(v128_load32_splat, u32, simde_wasm_i32x4_splat(value))
TF_DEFINE_VECTOR_LOAD(v128_load64_splat, u64, simde_wasm_i64x2_splat(value))
TF_DEFINE_VECTOR_LOAD(i16x8_load8x8, u64, v128_i16x8_extend_low_i8x16(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(u16x8_load8x8, u64, v128_u16x8_extend_low_u8x16(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(i32x4_load16x4, u64, v128_i32x4_extend_low_i16x8(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(u32x4_load16x4, u64, v128_u32x4_extend_low_u16x8(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(i64x2_load32x2, u64, v128_i64x2_extend_low_i32x4(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(u64x2_load32x2, u64, v128_u64x2_extend_low_u32x4(TF_PAIR(value)))
TF_DEFINE_VECTOR_LOAD(v128_load32_zero, u32, TF_PAIR((u64)value))
TF_DEFINE_VECTOR_LOAD(v128_load64_zero, u64, TF_PAIR(value))

/* wasm2c gives each lane a function of its own. */
#define TF_DEFINE_LANE(bits, shape, lane)                                                                              \
    static inline __attribute__((always_inline)) v128 v128_load##bits##_lane##lane(const wasm_rt_memory_t *memory,     \
                                                                                   u64 address, v128 others)           \
    {                                                                                                                  \
        tf_##shape lanes = (tf_##shape)others;                                                                         \
        lanes[lane] = *(const tf_cell_v128_load##bits##_splat *)(TF_BASE(memory) + address);                           \
        TF_KEEP_FLOAT(lanes);                                                                                          \
        return (v128)lanes;                                                                                            \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void v128_store##bits##_lane##lane(wasm_rt_memory_t *memory,          \
                                                                                    u64 address, v128 value)           \
    {                                                                                                                  \
        *(tf_cell_v128_load##bits##_splat *)(TF_BASE(memory) + address) = ((tf_##shape)value)[lane];                   \
    }
#define TF_DEFINE_LANES_2(bits, shape)                                                                                 \
    TF_DEFINE_LANE(bits, shape, 0)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 1)
#define TF_DEFINE_LANES_4(bits, shape)                                                                                 \
    TF_DEFINE_LANES_2(bits, shape)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 2)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 3)
#define TF_DEFINE_LANES_8(bits, shape)                                                                                 \
    TF_DEFINE_LANES_4(bits, shape)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 4)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 5)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 6)                                                                                     \
    TF_DEFINE_LANE(bits, shape, 7)
TF_DEFINE_LANES_2(64, u64x2)
TF_DEFINE_LANES_4(32, u32x4)
TF_DEFINE_LANES_8(16, u16x8)
TF_DEFINE_LANES_8(8, u8x16)
TF_DEFINE_LANE(8, u8x16, 8)
TF_DEFINE_LANE(8, u8x16, 9)
TF_DEFINE_LANE(8, u8x16, 10)
TF_DEFINE_LANE(8, u8x16, 11)
TF_DEFINE_LANE(8, u8x16, 12)
TF_DEFINE_LANE(8, u8x16, 13)
TF_DEFINE_LANE(8, u8x16, 14)
TF_DEFINE_LANE(8, u8x16, 15)
