#!/usr/bin/env python3
"""Modules that binaryen's fuzzer makes, through our compiler and through wabt's interpreter: both must tell the same.

    differential.py --build build --count 5000 --seed 1 [--profile strict] [--cc gcc]

binaryen turns random bytes into a valid module (wasm-opt -ttf). Its functions are then wrapped (below), so that all of
them are called, with parameters of every type, and everything they return, and what they leave in globals and memory,
is logged as integers, NaNs as one number. What the two logs must agree on is every line: values, traps and their kinds.

Bits of a NaN that the specification leaves open may still flow into results. So a module that differs is changed and
tried again: scalars that are a NaN become a 0 (wasm-opt --denan), lanes that an operation on vectors made a NaN become
the one canonical NaN of their width. No difference is forgiven for what it looks like: after that every line must be
the same. Also, a trap may leave memory as it was before or after a store next to it in one of the two (and in the
profile `fast` a load of a value that nobody uses does not trap): functions that trapped are called no more, and the
rest is tried again. What differs after both is kept in a folder, and the exit status is 1. Every module is in one line
of the summary, and the lines add up.
"""

import argparse
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import differential_loops
import differential_vectors

WABT = os.environ.get("TF_WABT_PREFIX", "/opt/terrafirma/wabt-1.0.36") + "/bin/"
BATCH = 40
NUMBERS = {"i32", "i64", "f32", "f64"}
# What the generator may use, each by chance; the rest is off.
FEATURES = [("mutable-globals", 0.8), ("sign-ext", 0.6), ("nontrapping-float-to-int", 0.6), ("bulk-memory", 0.6),
            ("multivalue", 0.6), ("reference-types", 0.2), ("extended-const", 0.5), ("simd", 0.6)]
# One of our words for each of the interpreter's texts.
TRAPS = [("unreachable executed", "unreachable"), ("out of bounds", "out of bounds"),
         ("undefined table index", "out of bounds"), ("uninitialized table element", "indirect call"),
         ("indirect call signature mismatch", "indirect call"), ("divide by zero", "divide by zero"),
         ("integer overflow", "integer overflow"), ("invalid conversion", "invalid conversion"),
         ("call stack exhausted", "stack exhausted")]


AGREE = ("same", "the same without the functions that trapped", "the same without NaNs of open bits")
STATISTICS = collections.Counter()


class Unusable(Exception):
    """A module that says nothing about us, with the reason."""


def run(command, seconds=60, **more):
    try:
        return subprocess.run(command, capture_output=True, timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        raise Unusable("%s takes longer than %d s" % (os.path.basename(command[0]), seconds)) from None


# ---- modules ----

def constants(rng, kind):
    whole = [0, 1, 2, 7, 8, 16, 255, 256, 65535, 65536, -1, -2, -128, 2 ** 31 - 1, -2 ** 31]
    if kind == "i64":
        whole += [2 ** 63 - 1, -2 ** 63, 2 ** 32, 2 ** 53]
    if kind[0] == "f":
        return rng.choice(["0", "-0", "1", "-1", "0.5", "-1.5", "inf", "-inf", "nan", "2147483648", "-2147483649",
                           "4294967296", "9223372036854775808", "1e-40", "3.4e38", "-0.49999997"])
    return str(rng.choice(whole))


def log(kind, value):
    """Text that logs `value`, the text of an instruction without effects."""
    if kind == "i32":
        return "(call $log-i32 %s)" % value
    if kind == "i64":
        return "(call $log-i64 %s)" % value
    if kind in ("f32", "f64"):
        return "(call $log-%s %s)" % (kind, value)
    if kind == "v128":
        return "".join("(call $log-i64 (i64x2.extract_lane %d %s))" % (lane, value) for lane in (0, 1))
    return "(call $log-i32 (ref.is_null %s))" % value


FLOATS = """
 (func $log-f32 (param $0 f32)
  (call $log-i32 (select (i32.const 2143289344) (i32.reinterpret_f32 (local.get $0))
                         (f32.ne (local.get $0) (local.get $0)))))
 (func $log-f64 (param $0 f64)
  (call $log-i64 (select (i64.const 9221120237041090560) (i64.reinterpret_f64 (local.get $0))
                         (f64.ne (local.get $0) (local.get $0)))))
"""
VECTOR = """
 (func $log-v128 (param $0 v128)
  (call $log-i64 (i64x2.extract_lane 0 (local.get $0)))
  (call $log-i64 (i64x2.extract_lane 1 (local.get $0))))
"""
# Operations on lanes of floats whose NaN may be any; what only moves or changes a sign is as the bits are.
MAY_MAKE_NAN = re.compile(r"\((f32x4|f64x2)\.(?:add|sub|mul|div|sqrt|min|max|ceil|floor|trunc|nearest|demote|promote)")
ONE_NAN = """
 (func $one-nan-%(shape)s (param $0 v128) (result v128)
  (v128.bitselect (local.get $0) (v128.const i64x2 %(bits)s %(bits)s)
                  (%(shape)s.eq (local.get $0) (local.get $0))))
"""
ONE_NANS = "".join(ONE_NAN % {"shape": shape, "bits": bits} for shape, bits in (
    ("f32x4", "0x7fc000007fc00000"), ("f64x2", "0x7ff8000000000000")))
MEMORY = """
 (func $log-memory (local $0 i32)
  (loop $more
   (call $log-i64 (i64.load (local.get $0)))
   (br_if $more (i32.lt_u (local.tee $0 (i32.add (local.get $0) (i32.const 8))) (i32.const 512))))
  (call $log-i32 (memory.size)))
"""


def wrapper(name, params, results, number, rng):
    values = " ".join("(%s.const %s)" % (kind, constants(rng, kind)) for kind in params)
    call = "(call $%s %s)" % (name, values)
    if not results:
        body, local = call, ""
    elif len(results) == 1:
        local = "(local $r %s)" % results[0]
        body = "(local.set $r %s)%s" % (call, log(results[0], "(local.get $r)"))
    else:
        local = "(local $r (%s))" % " ".join(results)
        body = "(local.set $r %s)" % call
        body += "".join(log(kind, "(tuple.extract %d (local.get $r))" % i) for i, kind in enumerate(results))
    return ' (func $w%d (export "w%d") %s (call $hangLimitInitializer) %s)\n' % (number, number, local, body)


def wrap(text, rng, has_vectors):
    """The generated module with logging of our own, and calls of everything."""
    lines, logged = [], []
    functions = re.findall(r"^ \(func \$(\S+)((?: \(param [^()]*(?:\([^()]*\))?[^()]*\))*)(?: \(result ([^)]*)\))?",
                           text, re.M)
    for line in text.splitlines():
        if re.match(r' \(import "fuzzing-support" "log-(f32|f64|v128)"', line) or line.startswith(" (export "):
            continue
        found = re.match(r" \(global \$(\S+) \(mut (i32|i64|f32|f64|v128)\)", line)
        if found and found.group(1) != "hangLimit":
            logged.append(log(found.group(2), "(global.get $%s)" % found.group(1)))
        lines.append(line)
    while lines and lines[-1].strip() != ")":
        lines.pop()
    lines.pop()
    out = "\n".join(lines) + FLOATS + ("" if "log-v128" not in text else VECTOR) + MEMORY
    number = 0
    for name, params, results in functions:
        kinds = re.findall(r"\(param (?:\$\S+ )?(\S+?)\)", params)
        if name.startswith("log-") or name == "hangLimitInitializer" or not set(kinds) <= NUMBERS:
            continue
        for _ in range(3 if kinds else 2):
            out += wrapper(name, kinds, results.split(), number, rng)
            number += 1
    if has_vectors:
        out += differential_vectors.functions(number, rng)
    return out + ' (func $end (export "end") %s (call $log-memory))\n)\n' % "".join(logged)


def make_lanes_canonical(text):
    """Every operation on vectors that may make a NaN within a call that makes it the canonical one."""
    out, open_calls, rest = [], [], 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|;;[^\n]*|\(;.*?;\)|[()]', text, re.S):
        out.append(text[rest:found.start()])
        rest = found.end()
        if found.group(0) == "(":
            operation = MAY_MAKE_NAN.match(text, found.start())
            open_calls.append(operation is not None)
            if operation is not None:
                out.append("(call $one-nan-%s " % operation.group(1))
        out.append(found.group(0))
        if found.group(0) == ")" and open_calls.pop():
            out.append(")")
    text = "".join(out) + text[rest:]
    return text if "$one-nan-" not in text or "(func $one-nan-" in text else text[:text.rindex(")")] + ONE_NANS + ")\n"


def drop_exports(text, names):
    return re.sub(r'\(export "(w\d+)"\)', lambda found: "" if found.group(1) in names else found.group(0), text)


class Module:
    def __init__(self, folder, seed, number, arguments):
        self.path = os.path.join(folder, "%d" % number)
        rng = random.Random("%s:%d" % (seed, number))
        if arguments.loops:
            self.text, self.passes = differential_loops.module(rng), []
            self.flags = ["--mvp-features", "--enable-nontrapping-float-to-int"]
            self.assemble()
            return
        count = rng.choice([40, 200, 600, 1500, 3000])
        with open(self.path + ".bytes", "wb") as file:
            file.write(rng.randbytes(count))
        wanted = [name for name, chance in FEATURES if rng.random() < chance and (name != "simd" or arguments.simd)]
        self.flags = ["--mvp-features"] + ["--enable-" + name for name in wanted]
        extra = ["--no-fuzz-oob"] if arguments.profile == "fast" else []
        made = run(["wasm-opt", self.path + ".bytes", "-ttf", "-S", "-o", self.path + ".ttf"] + self.flags + extra)
        if made.returncode != 0:
            raise Unusable("the generator fails")
        with open(self.path + ".ttf", encoding="utf-8", errors="surrogateescape") as file:
            self.text = wrap(file.read(), rng, "simd" in wanted)
        if "simd" in wanted and rng.random() < 0.5:
            self.text = make_lanes_canonical(self.text)
        self.passes = rng.choice([[], [], ["-O1"], ["-O3"]])
        self.assemble()

    def assemble(self):
        with open(self.path + ".wat", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self.text)
        made = run(["wasm-opt", self.path + ".wat", "-o", self.path + ".wasm"] + self.flags + self.passes)
        if made.returncode != 0:
            raise Unusable("the generator cannot read its own text: " + made.stderr.decode("latin-1")[-120:].strip())


# ---- both sides ----

def ours(arguments, paths):
    """Path → what differential_run says, a list of lines."""
    command = [os.path.join(arguments.build, "differential_run"), arguments.profile, arguments.cc,
               arguments.tier] + paths
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=1800, check=False)
    said, lines = {}, None
    for line in done.stdout.decode("latin-1").splitlines():
        if line.startswith("module "):
            lines = said[line[7:]] = []
        elif lines is not None:
            lines.append(line)
    if done.returncode != 0:
        raise SystemExit("differential_run ended with status %d; last line: %s" % (done.returncode, lines))
    return said


def theirs(path):
    """What the interpreter says, in the same words."""
    done = run([WABT + "wasm-interp", path, "--run-all-exports", "--dummy-import-func", "--enable-extended-const"])
    text = done.stdout.decode("latin-1")
    lines = []
    for line in text.splitlines():
        found = re.match(r"called host fuzzing-support\.log-i(?:32|64)\((i(?:32|64):\d+)\)", line)
        if found:
            lines.append("log " + found.group(1))
            continue
        found = re.match(r"(\w+)\(\) =>(?: error: (.*))?", line)
        if not found:
            raise Unusable("the interpreter says: " + line[:100])
        trap = found.group(2)
        if trap is not None:
            trap = next((word for theirs_text, word in TRAPS if theirs_text in trap), trap)
        lines.append("%s => %s" % (found.group(1), "error: " + trap if trap else ""))
    if done.returncode < 0 or "end =>" not in text.replace("end() =>", "end =>"):
        raise Unusable("the interpreter ends with status %d: %s" % (done.returncode,
                                                                   done.stderr.decode("latin-1")[:100].strip()))
    return lines


def traps_of(lines):
    return {line.split()[0]: line.split(": ", 1)[1] for line in lines if "=> error" in line}


def explained(arguments, ours_traps, their_traps):
    """May the traps be other ones? Where a load that is out of bounds, of a value nobody uses, is not made."""
    return all(ours_traps.get(name) == their_traps.get(name) or
               (arguments.profile == "fast" and their_traps.get(name) == "out of bounds")
               for name in ours_traps.keys() | their_traps.keys())


def compare(arguments, module, ours_lines):
    """One of AGREE, or "different"; raises Unusable, but not for a module that has differed once."""
    path = module.path + ".wasm"
    if ours_lines and ours_lines[0].startswith("refused "):
        # A second opinion on the validator: what we refuse, wabt must refuse as well.
        if run([WABT + "wasm-validate", "--enable-extended-const", path]).returncode == 0:
            print(ours_lines[0])
            return "different"
        raise Unusable("both refuse: " + ours_lines[0])
    their_lines = theirs(path)
    STATISTICS["lines"] += len(their_lines)
    STATISTICS["calls"] += sum(" => " in line for line in their_lines)
    STATISTICS["traps"] += sum("=> error" in line for line in their_lines)
    if ours_lines == their_lines:
        return "same"
    shutil.copy(path, module.path + ".different.wasm")
    try:
        return compare_again(arguments, module, ours_lines, their_lines)
    except Unusable as reason:
        print("differs, and cannot be tried again: %s" % reason)
        return "different"


def compare_again(arguments, module, ours_lines, their_lines):
    path = module.path + ".wasm"
    for _ in range(10):
        gone = (traps_of(ours_lines).keys() | traps_of(their_lines).keys()) - {"end"}
        if not gone or not explained(arguments, traps_of(ours_lines), traps_of(their_lines)):
            break
        module.text = drop_exports(module.text, gone)
        module.assemble()
        ours_lines, their_lines = ours(arguments, [path])[path], theirs(path)
        if ours_lines == their_lines:
            return "the same without the functions that trapped"
    module.passes = module.passes + ["--denan"]
    module.text = make_lanes_canonical(module.text)
    module.assemble()
    if ours(arguments, [path])[path] == theirs(path):
        return "the same without NaNs of open bits"
    return "different"


def one_batch(arguments, folder, numbers, counts):
    modules, bad = [], []
    for number in numbers:
        try:
            modules.append(Module(folder, arguments.seed, number, arguments))
        except Unusable as reason:
            counts["not compared: " + re.sub(r"\d+", "N", str(reason))] += 1
    said = ours(arguments, [module.path + ".wasm" for module in modules])
    for module in modules:
        try:
            verdict = compare(arguments, module, said[module.path + ".wasm"])
        except Unusable as reason:
            verdict = "not compared: " + re.sub(r"\d+", "N", str(reason))
        counts[verdict] += 1
        if verdict == "different":
            bad.append(module)
            print("different: seed %s, module %s: %s" % (arguments.seed, os.path.basename(module.path),
                                                         module.path + ".different.wasm"), flush=True)
            continue
        for name in os.listdir(folder):
            if name.split(".")[0] == os.path.basename(module.path):
                os.unlink(os.path.join(folder, name))
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--profile", choices=["strict", "fast"], default="strict")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--tier", choices=["optimised", "fast"], default="optimised")
    parser.add_argument("--simd", action="store_true", help="let the generator use SIMD")
    parser.add_argument("--loops", action="store_true", help="counted loops of our own instead of the generator's")
    arguments = parser.parse_args()
    if shutil.which("wasm-opt") is None or not os.path.exists(WABT + "wasm-interp"):
        print("skipped: no wasm-opt (package binaryen), or no wasm-interp in " + WABT)
        return 77
    folder = tempfile.mkdtemp(prefix="terrafirma-differential-")
    counts, bad = collections.Counter(), []
    numbers = list(range(arguments.first, arguments.first + arguments.count))
    for start in range(0, len(numbers), BATCH):
        bad += one_batch(arguments, folder, numbers[start:start + BATCH], counts)
        done = min(start + BATCH, len(numbers))
        if done % 400 == 0:
            print("%d: %s" % (done, dict(counts.most_common(4))), flush=True)
    for verdict, count in counts.most_common():
        print("%6d %s" % (count, verdict))
    agreed = sum(counts[verdict] for verdict in AGREE)
    apart = sum(count for verdict, count in counts.items() if verdict.startswith("not compared: "))
    print("%(calls)d calls, %(traps)d traps, %(lines)d lines compared" % STATISTICS)
    print("%d modules = %d agree + %d differ + %d not compared (seed %s, first %d; %s, %s, %s tier%s%s)" % (
        len(numbers), agreed, len(bad), apart, arguments.seed, arguments.first, arguments.profile, arguments.cc,
        arguments.tier, ", SIMD" if arguments.simd else "", ", loops" if arguments.loops else ""))
    if agreed + len(bad) + apart != len(numbers):
        raise SystemExit("the figures do not add up")
    if not bad:
        shutil.rmtree(folder)
    return 1 if bad or agreed < arguments.count // 2 else 0


if __name__ == "__main__":
    sys.exit(main())
