"""A real module of each proposal that is not served: `terrafirma build` refuses it by the proposal's name."""
import os
import subprocess
import tempfile
import unittest

import e2e

WAT2WASM = os.environ.get("TF_WAT2WASM") or "wat2wasm"

HEAD = b"\0asm\1\0\0\0"

# Proposal, as the refusal must name it; the option that makes wat2wasm write it; the module.
TEXTS = [
    ("threads", "--enable-threads", '(module (memory 1 2 shared) (func (export "run")))'),
    ("threads", "--enable-threads",
     '(module (memory 1) (func (export "run") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))'),
    ("memory64", "--enable-memory64", '(module (memory i64 1) (func (export "run")))'),
    ("exceptions", "--enable-exceptions", '(module (tag $t) (func (export "run") (throw $t)))'),
    ("exceptions", "--enable-exceptions", '(module (func (export "run") (try (do (nop)) (catch_all (nop)))))'),
    ("tail calls", "--enable-tail-call", '(module (func $f) (func (export "run") (return_call $f)))'),
    ("tail calls", "--enable-tail-call",
     '(module (type $t (func)) (table 1 funcref)'
     ' (func (export "run") (return_call_indirect (type $t) (i32.const 0))))'),
    ("multi-memory", "--enable-multi-memory", '(module (memory 1) (memory 1) (func (export "run")))'),
    ("relaxed SIMD", "--enable-relaxed-simd",
     '(module (func (export "run") (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))))'),
]


def section(number, *content):
    return bytes([number, len(content), *content])


# What wat2wasm cannot write.
RUN = section(3, 1, 0) + section(7, 1, 3, *b"run", 0, 0) + section(10, 1, 2, 0, 0x0b)
TYPE = section(1, 1, 0x60, 0, 0)
BYTES = [
    # a struct type of one i32 field; an array type; a recursion group
    ("garbage collection", section(1, 2, 0x5f, 1, 0x7f, 0, 0x60, 0, 0) + RUN.replace(b"\1\0", b"\1\1", 1)),
    ("garbage collection", section(1, 1, 0x5e, 0x7f, 0) + RUN),
    ("garbage collection", section(1, 1, 0x4e, 1, 0x60, 0, 0) + RUN),
    # a local of the type (ref 0); call_ref
    ("typed function references",
     TYPE + section(3, 1, 0) + section(7, 1, 3, *b"run", 0, 0) + section(10, 1, 5, 1, 1, 0x64, 0, 0x0b)),
    ("typed function references",
     TYPE + section(3, 1, 0) + section(7, 1, 3, *b"run", 0, 0) + section(10, 1, 4, 0, 0x14, 0, 0x0b)),
    # a memory of pages of one byte
    ("custom page sizes", TYPE + section(3, 1, 0) + section(5, 1, 8, 1, 0) + section(7, 1, 3, *b"run", 0, 0)
     + section(10, 1, 2, 0, 0x0b)),
]


class Proposals(unittest.TestCase):
    def check(self, name, module):
        process = subprocess.run([e2e.PROGRAM, "build", module, "--cache", os.path.join(self.folder.name, "cache")],
                                 capture_output=True, text=True, timeout=e2e.PATIENCE, check=False)
        text = process.stdout + process.stderr
        self.assertEqual(process.returncode, 1, text)
        self.assertIn(name, text)

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tf-proposals-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_texts(self):
        for name, option, text in TEXTS:
            with self.subTest(text):
                with open(self.path("m.wat"), "w", encoding="ascii") as source:
                    source.write(text)
                subprocess.run([WAT2WASM, option, self.path("m.wat"), "-o", self.path("m.wasm")], check=True)
                self.check(name, self.path("m.wasm"))

    def test_bytes(self):
        for name, sections in BYTES:
            with self.subTest(name):
                with open(self.path("m.wasm"), "wb") as module:
                    module.write(HEAD + sections)
                self.check(name, self.path("m.wasm"))

    def test_component(self):
        with open(self.path("m.wasm"), "wb") as module:
            module.write(b"\0asm\x0d\0\1\0")
        self.check("component model", self.path("m.wasm"))


if __name__ == "__main__":
    unittest.main()
