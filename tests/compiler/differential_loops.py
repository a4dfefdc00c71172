"""Modules of counted loops, for differential.py: what compiler/loops.h is about. Their addresses are sums that run up
and down, wrap at 2^32, start outside of the memory and come in, or the other way round; some have a product in them.
Their conditions are of every kind, some of which are never met. Steps are constants or variables, 0 among these. Some
loops are long and fill memory with words of 64 bits, for which the first turns are made apart. Some divide by sums of
what changes, now and then by 0 or the least number by -1, and are written out turn by turn where turns are few; some
saturate numbers that do not fit, and NaNs. Some are in a loop around them in which they read the same table each time,
while what they store comes near the table, touches it, or runs over it in some turn."""

MEMORY = 65536
STEPS = [1, 2, 3, 4, 5, 8, 12, 16, 24, 40, 64, 1000, 4096, 65536]
COMPARE = ["lt_u", "le_u", "gt_u", "ge_u", "lt_s", "le_s", "gt_s", "ge_s"]
OPPOSITE = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}
LOADS = {"i32": ["i32.load", "i32.load8_u", "i32.load16_s"], "i64": ["i64.load", "i64.load32_u"], "f64": ["f64.load"]}
STORES = {"i32": ["i32.store", "i32.store8", "i32.store16"], "i64": ["i64.store", "i64.store16"], "f64": ["f64.store"]}
DIVIDE = ["i32.div_s", "i32.rem_s", "i32.div_u", "i32.rem_u"]
# Around the bounds, both zeroes, infinities, and NaNs, one of them signalling, as cells of 64 bits.
NUMBERS = [0x0000000000000000, 0x8000000000000000, 0xbfe0000000000000, 0x41dfffffffc00000, 0x41dfffffffe00000,
           0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000, 0xc1e0000000200000, 0x7ff0000000000000,
           0xfff0000000000000, 0x7ff8000000000000, 0xfff0000000000001, 0x3ff8000000000000, 0x4197d784007ae148]
NUMBERS_32 = [0x00000000, 0x80000000, 0xbf000000, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x7f800000,
              0xff800000, 0x7fc00000, 0xff800001, 0x3fc00000, 0x4cbebc20]
HEAD = """(module
 (import "fuzzing-support" "log-i32" (func $log-i32 (param i32)))
 (import "fuzzing-support" "log-i64" (func $log-i64 (param i64)))
 (memory 1 1)
"""
TAIL = """ (func (export "end") (local $at i32) (local $sum i64)
  (loop $more
   (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 5)) (i64.load (local.get $at))))
   (br_if $more (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 65536))))
  (call $log-i64 (local.get $sum)))
)
"""


def wrapped(number):
    number &= 0xffffffff
    return number - (1 << 32) if number >= 1 << 31 else number


def constant(number):
    return "(i32.const %d)" % wrapped(number)


def operand(rng, cells, number):
    """Text that is `number`: a constant, or a load of it, so that nobody can know it before."""
    if rng.random() < 0.4:
        return constant(number)
    at = 4 * len(cells)
    cells.append("(i32.store (i32.const %d) %s)" % (at, constant(number)))
    return "(i32.load (i32.const %d))" % at


def pick_step(rng):
    return rng.choice(STEPS[:10]) * rng.choice([1, 1, -1]) if rng.random() < 0.9 else rng.choice(STEPS)


class Loop:
    def __init__(self, rng):
        self.rng, self.cells = rng, []
        self.is_fill = rng.random() < 0.15
        self.turns = rng.choice([1, 2, 5, 11, 12, 13, 14, 16, 31, 40, 100, 300])
        self.step = {"i": pick_step(rng), "j": pick_step(rng)}
        if self.is_fill:
            self.turns = rng.choice([63, 64, 65, 66, 67, 68, 69, 90, 300])
            self.step["i"] = rng.choice([8, 8, 16])
        self.is_variable = {name: rng.random() < 0.3 for name in self.step}
        if self.is_variable["j"] and rng.random() < 0.1:
            self.step["j"] = 0
        self.first = {name: self.pick_first(step) for name, step in self.step.items()}
        self.base = {"p": 0, "q": rng.choice([0, 8, -8, 1000, -4096, 1 << 31, rng.randrange(1 << 32)])}
        # One address of the loop is inside of the memory, mostly; the others are where they come to be.
        inside = rng.randrange(2048, MEMORY - 64)
        if self.step["i"] < 0:
            inside += -self.step["i"] * self.turns
        self.factor = 1 if self.is_fill else rng.choice([1, 1, 1, 2, 4, 8, 3])
        self.is_product = not self.is_fill and rng.random() < 0.2
        if self.is_product:
            self.base["m"] = self.factor = rng.choice([1, 2, 3, 4, 8, 16, 24, 0, -1, 1 << 16, 1 << 31])
        self.base["p"] = inside - self.factor * self.first["i"]
        if rng.random() < 0.15:
            self.base["p"] += rng.choice([MEMORY, -MEMORY, 1 << 31, -4000, 60000])

    def pick_first(self, step):
        choice = self.rng.randrange(6)
        if choice < 2:
            return self.rng.choice([0, 1, 2, 7])
        if choice == 2:
            return -step * self.turns  # comes to 0
        if choice == 3:
            return self.rng.randrange(1 << 32)
        return self.rng.choice([1 << 31, (1 << 31) - step * self.turns, -1, -step, MEMORY, (1 << 32) - 100])

    def address(self):
        i = "(local.get $i)"
        if self.is_product:
            i = self.rng.choice(["(i32.mul %s (local.get $m))", "(i32.mul (local.get $m) %s)"]) % i
        elif self.factor in (2, 4, 8) and self.rng.random() < 0.5:
            i = "(i32.shl %s (i32.const %d))" % (i, self.factor.bit_length() - 1)
        elif self.factor != 1:
            i = "(i32.mul %s (i32.const %d))" % (i, self.factor)
        text = "(i32.add (local.get $p) %s)" % i
        choice = self.rng.randrange(30)
        if choice == 0:
            text = "(i32.sub %s (i32.sub (i32.const 0) (local.get $q)))" % text
        elif choice == 1:
            text = "(i32.add %s (local.get $j))" % text
        elif choice == 2:
            text = "(local.get $%s)" % self.rng.choice("ij")
        if self.rng.random() < 0.5:
            text = "(i32.add %s %s)" % (text, constant(self.rng.choice([8, -8, 4, 16, -16, 2, 400, -400, 4000])))
        return text

    def offset(self):
        return "offset=%d" % self.rng.choice([0, 0, 4, 8, 16, 200])

    def statement(self):
        kind = self.rng.choice(["i32", "i32", "i64", "f64"])
        load = "(%s %s %s)" % (self.rng.choice(LOADS[kind]), self.offset(), self.address())
        choice = self.rng.randrange(4)
        if choice == 0 and kind == "i32":
            return "(local.set $sum (i32.add (local.get $sum) %s))" % load
        if choice == 1 and kind == "i32":
            load = "(i32.add %s (local.get $%s))" % (load, self.rng.choice("ijq"))
        return "(%s %s %s %s)" % (self.rng.choice(STORES[kind]), self.offset(), self.address(), load)

    def divide(self):
        """A quotient or remainder by something that changes in each turn, or does not."""
        name = self.rng.choice("iijpq")
        divisor = "(local.get $%s)" % name
        if name in self.first and self.rng.random() < 0.9:  # small: never 0, mostly
            least = self.rng.choice([1, 3, 8, 100, -1, -7])
            divisor = "(i32.sub %s %s)" % (divisor, constant(self.first[name] - least))
        dividend = self.rng.choice(["(local.get $sum)", "(i32.load %s %s)" % (self.offset(), self.address()),
                                    "(i32.const -2147483648)"])
        text = "(%s %s %s)" % (self.rng.choice(DIVIDE), dividend, divisor)
        if self.rng.random() < 0.5:
            return "(i32.store %s %s %s)" % (self.offset(), self.address(), text)
        return "(local.set $sum (i32.sub (local.get $sum) %s))" % text

    def saturate(self):
        """A conversion, of what is in memory or a constant, whose result is stored, or used as a number again."""
        kind = self.rng.choice(["f32", "f64"])
        text = "(%s.load %s %s)" % (kind, self.offset(), self.address())
        choice = self.rng.randrange(5)
        if choice == 0:
            value = self.rng.choice(NUMBERS if kind == "f64" else NUMBERS_32)
            text = "(%s.reinterpret_i%s (i%s.const %d))" % (kind, kind[1:], kind[1:], value)
        elif choice == 1:
            text = "(%s.convert_i32_s (local.get $%s))" % (kind, self.rng.choice("ijq"))
        elif choice == 2:
            text = "(%s.mul %s (%s.const %s))" % (kind, text, kind, self.rng.choice(["0.5", "-0.25", "1e5"]))
        text = "(i32.trunc_sat_%s_s %s)" % (kind, text)
        choice = self.rng.randrange(4)
        if choice == 0:
            return "(local.set $sum (i32.xor (local.get $sum) %s))" % text
        if choice == 1:
            return "(%s.store %s %s (%s.convert_i32_s %s))" % (kind, self.offset(), self.address(), kind, text)
        return "(%s %s %s %s)" % (self.rng.choice(STORES["i32"]), self.offset(), self.address(), text)

    def fill(self):
        """Stores that fill what a turn of `i` goes on by, mostly."""
        kind, text = self.rng.choice(["i64", "f64"]), "(i32.add (local.get $p) (local.get $i))"
        load = "(%s.load %s %s)" % (kind, self.offset(), self.rng.choice([self.address(), text]))
        at = 4 * self.rng.randrange(8)
        return ["(%s.store offset=%d %s %s)" % (kind, at + 8 * i, text, load) for i in range(self.step["i"] // 8)]

    def turn(self):
        """The condition. `i` has changed already."""
        step, after = self.step["i"], "(local.get $i)"
        last = self.first["i"] + step * self.turns
        choice = self.rng.randrange(10)
        if choice < 4:
            off = self.rng.choice([0, 0, 0, 0, 0, 1])
            limit = last + off
            return "(i32.ne %s %s)" % (after, operand(self.rng, self.cells, limit))
        if choice == 4:
            return after
        if choice == 5:
            return "(i32.eqz (i32.lt_u (i32.add %s %s) %s))" % (after, constant(abs(step)), after)
        name = self.rng.choice([name for name in COMPARE if (name[0] == "l") == (step > 0)] * 4 + COMPARE)
        limit = operand(self.rng, self.cells, last + self.rng.choice([0, 0, 1, -1, step]))
        if self.rng.random() < 0.3:
            return "(i32.eqz (i32.%s_%s %s %s))" % (OPPOSITE[name[:2]], name[3], after, limit)
        if self.rng.random() < 0.3:
            mirrored = {"l": "g", "g": "l"}[name[0]] + name[1:]
            return "(i32.%s %s %s)" % (mirrored, limit, after)
        return "(i32.%s %s %s)" % (name, after, limit)

    def text(self, number):
        rng = self.rng
        sets = ["(local.set $%s %s)" % (name, operand(rng, self.cells, value))
                for name, value in [*self.base.items(), *self.first.items()]]
        sets += ["(local.set $s%s %s)" % (name, operand(rng, self.cells, step)) for name, step in self.step.items()
                 if self.is_variable[name]]
        kinds = [self.statement] * 4 + rng.choice([[], [], [self.divide] * 2, [self.saturate] * 3])
        body = self.fill() if self.is_fill else [rng.choice(kinds)() for _ in range(rng.randrange(1, 5))]
        changes = ["(local.set $%s (i32.add (local.get $%s) %s))" %
                   (name, name, "(local.get $s%s)" % name if self.is_variable[name] else constant(step))
                   for name, step in self.step.items()]
        body.insert(rng.randrange(len(body) + 1), changes[1])
        body.insert(len(body) if rng.random() < 0.7 else rng.randrange(len(body) + 1), changes[0])
        # Whatever the condition is, it ends: sooner or later this is outside of the memory.
        body.append("(local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.tee $fuel (i32.add "
                    "(local.get $fuel) (i32.const 64))))))")
        turn = self.turn()
        lines = self.cells + sets + ["(loop $more", *[" " + line for line in body], " (br_if $more %s))" % turn]
        lines += ["(call $log-i32 (local.get $%s))" % name for name in ("i", "j", "sum", "fuel")]
        return ' (func (export "w%d") (local $p i32) (local $q i32) (local $m i32) (local $i i32) (local $j i32) ' \
               '(local $sum i32) (local $fuel i32) (local $si i32) (local $sj i32)\n  %s)\n' % (
                   number, "\n  ".join(lines))


class Nest:
    """A loop of few turns over a table, in a loop."""

    def __init__(self, rng):
        self.rng, self.cells = rng, []
        self.kind = rng.choice(["i32", "i32", "i64", "f64"])
        self.turns = rng.choice([3, 4, 5, 8, 8, 8, 15, 16, 17])
        self.stride = rng.choice([4, 8, 16, 24, 32, 32, 64, -8, -32])
        self.outer = rng.choice([1, 2, 3, 5, 8, 12])
        self.places = [4 * rng.randrange(0, max(1, abs(self.stride) // 4)) for _ in range(rng.randrange(1, 5))]
        self.step = rng.choice([1, 2, 4, 4, 4, 8, 16, -4])
        self.advance = rng.choice([0, 4, 8, 32, self.step * self.turns, self.step * self.turns, 256, -32])
        self.table = self.pick_table()
        # In that turn of the outer loop the first store is so far from the table.
        near = rng.choice([0, rng.randrange(self.outer), self.outer + 3])
        away = rng.choice([0, 4, -4, 8, self.stride, -self.step * self.turns, abs(self.stride) * self.turns,
                           abs(self.stride) * self.turns + 4, rng.randrange(-600, 600), 9000, -9000])
        self.store = self.table + away - near * self.advance

    def pick_table(self):
        reach = self.stride * (self.turns - 1)
        least, most = min(0, reach), max(0, reach) + abs(self.stride)
        choice = self.rng.randrange(12)
        if choice == 0:  # around the end of memory
            return MEMORY - most + self.rng.choice([0, -8, 4, 8, 32])
        if choice == 1:  # around 0, and around 2^32
            return -least + self.rng.choice([0, 4, -4, -32, 1])
        return self.rng.randrange(12000, MEMORY - 12000)

    def address(self, base, place):
        text = "(i32.add %s (local.get $k))" % base
        if self.rng.random() < 0.3:
            text = "(i32.add (local.get $k) %s)" % base
        if self.rng.random() < 0.5:
            return "offset=%d" % place, text
        return "offset=0", "(i32.add %s %s)" % (text, constant(place))

    def element(self, base, place):
        load = "%s.load" % self.kind
        if self.kind == "i32" and self.rng.random() < 0.3:
            load = self.rng.choice(LOADS["i32"])
        text = "(%s %s %s)" % (load, *self.address(base, place))
        if self.kind == "i64":
            return "(i32.wrap_i64 (i64.rotl %s (i64.const 21)))" % text
        if self.kind == "f64":
            return "(i32.wrap_i64 (i64.reinterpret_f64 %s))" % text
        return text

    def inner(self, base):
        rng = self.rng
        parts = ["(i32.mul %s (local.get $%s))" % (self.element(base, place), rng.choice("abky"))
                 for place in self.places]
        if rng.random() < 0.1:
            parts.append("(%s (local.get $a) (i32.and (local.get $b) (local.get $k)))" % rng.choice(DIVIDE))
        if rng.random() < 0.2:
            parts.append("(i32.load (i32.add (local.get $p) (i32.const 64)))")
        value = parts[0]
        for part in parts[1:]:
            value = "(i32.add %s %s)" % (value, part)
        name = rng.choice(["i32.store", "i32.store", "i32.store", "i32.store8", "i32.store16"])
        store = "(%s offset=%d (local.get $p) %s)" % (name, rng.choice([0, 0, 0, 4]), value)
        if rng.random() < 0.1:
            store = "(local.set $a (i32.add (local.get $a) %s))" % value
        if rng.random() < 0.2:
            store += " (i64.store offset=8 (local.get $p) (i64.extend_i32_u (local.get $k)))"
        return store

    def text(self, number):
        rng = self.rng
        is_constant = rng.random() < 0.4
        base = constant(self.table) if is_constant else "(local.get $t)"
        first = rng.choice([0, 0, 0, self.stride, 4096])
        last = constant(first + self.stride * self.turns)
        if first != 0:
            base = "(i32.sub %s %s)" % (base, constant(first))
        more = "(i32.ne (local.tee $k (i32.add (local.get $k) %s)) %s)" % (constant(self.stride), last)
        if rng.random() < 0.3:
            more = "(i32.%s_s (local.tee $k (i32.add (local.get $k) %s)) %s)" % (
                "lt" if self.stride > 0 else "gt", constant(self.stride), last)
        head = ["(local.set $%s (i32.load%s offset=%d (i32.shl (local.get $y) (i32.const %d))))" %
                (name, rng.choice(["", "8_u", "16_s"]), rng.choice([0, 100, max(0, self.table)]), rng.choice([0, 2, 5]))
                for name in "ab"]
        head.append("(local.set $k %s)" % constant(first))
        tail = ["(local.set $p (i32.add (local.get $p) %s))" % constant(self.advance - self.step * self.turns)]
        if rng.random() < 0.15:
            rng.choice([head, tail]).append("(i32.store offset=%d (i32.const 0) (i32.const 77))" % max(0, self.table))
        if rng.random() < 0.1:
            tail.append("(local.set $t (i32.add (local.get $t) (i32.const 4)))")
        tail.append("(local.set $y (i32.add (local.get $y) (i32.const 1)))")
        again = "(i32.lt_u (local.get $y) %s)" % operand(rng, self.cells, self.outer)
        if rng.random() < 0.2:  # its own end, whatever the table becomes; bounded
            again = "(i32.and %s (i32.ne (i32.load %s) (i32.const 77)))" % (again, constant(self.table))
        sets = ["(local.set $t %s)" % operand(rng, self.cells, self.table),
                "(local.set $p %s)" % operand(rng, self.cells, self.store)]
        lines = self.cells + sets + ["(loop $outer", *[" " + line for line in head], " (loop $inner",
                                     "  " + self.inner(base),
                                     "  (local.set $p (i32.add (local.get $p) %s))" % constant(self.step),
                                     "  (br_if $inner %s))" % more, *[" " + line for line in tail],
                                     " (br_if $outer %s))" % again]
        lines += ["(call $log-i32 (local.get $%s))" % name for name in "kypab"]
        return ' (func (export "w%d") (local $t i32) (local $p i32) (local $k i32) (local $y i32) (local $a i32) ' \
               '(local $b i32)\n  %s)\n' % (number, "\n  ".join(lines))


def module(rng):
    """Text of a whole module."""
    cells = [rng.choice(NUMBERS) if rng.random() < 0.3 else rng.choice(NUMBERS_32) << 32 | rng.choice(NUMBERS_32)
             if rng.random() < 0.3 else rng.randrange(1 << 64) for _ in range(MEMORY // 8)]
    filled = b"".join(cell.to_bytes(8, "little") for cell in cells)
    fill = "".join(" (data (i32.const %d) \"%s\")\n" % (256 * at, "".join("\\%02x" % byte for byte in
                                                                      filled[256 * at:256 * at + 256]))
                   for at in range(256))
    kinds = [Loop, Loop, Nest]
    return HEAD + fill + "".join(rng.choice(kinds)(rng).text(number) for number in range(rng.randrange(4, 16))) + TAIL
