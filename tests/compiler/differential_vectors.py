"""Functions of random operations on vectors, for differential.py: binaryen's fuzzer makes few of them by itself."""

SHAPES = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "i64x2": 2, "f32x4": 4, "f64x2": 2}
UNARY = {
    "v128": "not",
    "i8x16": "abs neg popcnt",
    "i16x8": "abs neg extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u extend_low_i8x16_s extend_low_i8x16_u "
             "extend_high_i8x16_s extend_high_i8x16_u",
    "i32x4": "abs neg extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u extend_low_i16x8_s extend_low_i16x8_u "
             "extend_high_i16x8_s extend_high_i16x8_u trunc_sat_f32x4_s trunc_sat_f32x4_u trunc_sat_f64x2_s_zero "
             "trunc_sat_f64x2_u_zero",
    "i64x2": "abs neg extend_low_i32x4_s extend_low_i32x4_u extend_high_i32x4_s extend_high_i32x4_u",
    "f32x4": "abs neg sqrt ceil floor trunc nearest convert_i32x4_s convert_i32x4_u demote_f64x2_zero",
    "f64x2": "abs neg sqrt ceil floor trunc nearest convert_low_i32x4_s convert_low_i32x4_u promote_low_f32x4",
}
COMPARE = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u "
FLOAT = "add sub mul div min max pmin pmax eq ne lt gt le ge"
BINARY = {
    "v128": "and or xor andnot",
    "i8x16": COMPARE + "add sub add_sat_s add_sat_u sub_sat_s sub_sat_u min_s min_u max_s max_u avgr_u swizzle "
             "narrow_i16x8_s narrow_i16x8_u",
    "i16x8": COMPARE + "add sub mul add_sat_s add_sat_u sub_sat_s sub_sat_u min_s min_u max_s max_u avgr_u "
             "q15mulr_sat_s narrow_i32x4_s narrow_i32x4_u extmul_low_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_s "
             "extmul_high_i8x16_u",
    "i32x4": COMPARE + "add sub mul min_s min_u max_s max_u dot_i16x8_s extmul_low_i16x8_s extmul_low_i16x8_u "
             "extmul_high_i16x8_s extmul_high_i16x8_u",
    "i64x2": "eq ne lt_s gt_s le_s ge_s add sub mul extmul_low_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_s "
             "extmul_high_i32x4_u",
    "f32x4": FLOAT,
    "f64x2": FLOAT,
}
UNARIES = ["%s.%s" % (shape, name) for shape, names in UNARY.items() for name in names.split()]
BINARIES = ["%s.%s" % (shape, name) for shape, names in BINARY.items() for name in names.split()]
SHIFTS = ["%s.%s" % (shape, name) for shape in SHAPES if shape[0] == "i" for name in ("shl", "shr_s", "shr_u")]
TESTS = ["v128.any_true"] + ["%s.%s" % (shape, name) for shape in SHAPES if shape[0] == "i"
                             for name in ("all_true", "bitmask")]
LOADS = ["load", "load8x8_s", "load8x8_u", "load16x4_s", "load16x4_u", "load32x2_s", "load32x2_u", "load8_splat",
         "load16_splat", "load32_splat", "load64_splat", "load32_zero", "load64_zero"]
# Where lanes turn over, saturate, or are a number on the edge of another type.
BYTES = [b"\0" * 8, b"\xff" * 8, b"\x80" * 8, b"\x7f" * 8, b"\0\x80" * 4, b"\xff\x7f" * 4, b"\0\0\0\x80" * 2,
         b"\xff\xff\xff\x7f" * 2, b"\0\0\0\0\0\0\0\x80", b"\xff" * 7 + b"\x7f", b"\0\0\x80\x3f" * 2,
         b"\0\0\0\xcf\0\0\0\x4f", b"\0\0\x80\x7f\0\0\x80\xff", b"\0\0\0\x3f\0\0\x20\xc0", b"\0\0\0\0\0\0\xe0\x41",
         b"\0\0\0\0\0\0\xf0\x3f", b"\0\0\0\0\0\0\xe0\xc1", b"\0\0\0\0\0\0\x04\xc0", b"\x01\0\0\0\0\0\0\0"]


def half(rng):
    return int.from_bytes(rng.choice(BYTES) if rng.random() < 0.6 else rng.randbytes(8), "little")


def variable(rng):
    return "(local.get $%s)" % rng.choice("abcd")


def scalar(rng):
    """Text of an i32 made of a vector."""
    kind = rng.randrange(3)
    if kind == 0:
        return "(%s %s)" % (rng.choice(TESTS), variable(rng))
    if kind == 1:
        shape = rng.choice(["i8x16", "i16x8"])
        return "(%s.extract_lane_%s %d %s)" % (shape, rng.choice("su"), rng.randrange(SHAPES[shape]), variable(rng))
    return "(i32x4.extract_lane %d %s)" % (rng.randrange(4), variable(rng))


def lane_of(shape, rng):
    """Text of a scalar of the type of `shape`'s lanes."""
    if shape in ("i8x16", "i16x8", "i32x4"):
        return scalar(rng)
    return "(%s.extract_lane %d %s)" % (shape, rng.randrange(SHAPES[shape]), variable(rng))


def vector(rng):
    """Text of an operation that makes a vector."""
    kind = rng.randrange(20)
    if kind < 6:
        return "(%s %s)" % (rng.choice(UNARIES), variable(rng))
    if kind < 13:
        return "(%s %s %s)" % (rng.choice(BINARIES), variable(rng), variable(rng))
    if kind < 15:
        return "(%s %s %s)" % (rng.choice(SHIFTS), variable(rng), scalar(rng))
    if kind == 15:
        return "(v128.bitselect %s %s %s)" % (variable(rng), variable(rng), variable(rng))
    if kind == 16:
        lanes = " ".join(str(rng.randrange(32)) for _ in range(16))
        return "(i8x16.shuffle %s %s %s)" % (lanes, variable(rng), variable(rng))
    if kind == 17:
        return "(v128.%s (i32.const %d))" % (rng.choice(LOADS), rng.randrange(64))
    shape = rng.choice(list(SHAPES))
    if kind == 18:
        return "(%s.splat %s)" % (shape, lane_of(shape, rng))
    return "(%s.replace_lane %d %s %s)" % (shape, rng.randrange(SHAPES[shape]), variable(rng), lane_of(shape, rng))


def functions(number, rng):
    """Some functions w<number>… of the kind that differential.py calls. Their operands go through memory, so that
    binaryen's optimiser cannot work them out."""
    out = ""
    for name in range(number, number + rng.randrange(3, 9)):
        lines = ["(v128.store (i32.const %d) (v128.const i64x2 0x%x 0x%x))" % (16 * i, half(rng), half(rng))
                 for i in range(5)]
        lines += ["(local.set $%s (v128.load (i32.const %d)))" % (local, 16 * i) for i, local in enumerate("abcd")]
        for _ in range(rng.randrange(4, 24)):
            lines.append("(local.set $%s %s)" % (rng.choice("abcd"), vector(rng)))
            if rng.random() < 0.1:
                lines.append("(v128.store (i32.const %d) %s)" % (rng.randrange(64), variable(rng)))
        lines += ["(call $log-i64 (i64x2.extract_lane %d (local.get $%s)))" % (lane, local) for local in "abcd"
                  for lane in (0, 1)]
        out += ' (func $w%d (export "w%d") (local $a v128) (local $b v128) (local $c v128) (local $d v128)\n  %s)\n' % (
            name, name, "\n  ".join(lines))
    return out
