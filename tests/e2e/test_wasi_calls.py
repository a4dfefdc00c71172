"""What WASI's functions answer to a program that calls them as published suites do, call by call. The expectation is
what wasmtime 50 answers too, but for these lines, where both are allowed:

* fd_readdir of what is no folder: NOTDIR; there BADF. fd_seek of a folder: NOTCAPABLE, by its rights; there BADF.
* fd_fdstat_set_rights takes rights away; there it is not supported any more.
* Vectors are read and written whole; there only the first.
* path_remove_directory takes a final slash; there it is refused.
* poll_oneoff tells of a descriptor that is none by an event; there the call fails."""
import os
import subprocess
import tempfile
import unittest

import e2e

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


@unittest.skipUnless(os.path.exists("/usr/lib/wasm32-wasi/libc.a"), "wasi-libc is not installed")
class WasiCalls(unittest.TestCase):
    def test_every_line(self):
        with tempfile.TemporaryDirectory(prefix="tf-e2e-wasi-") as folder:
            wasm = os.path.join(folder, "calls.wasm")
            subprocess.run(["clang", "--target=wasm32-wasi", "-O1", "-Wall", "-Wextra", "-Werror", "-o", wasm,
                            os.path.join(PROGRAMS, "wasi_calls.c")], check=True, timeout=120)
            done = subprocess.run([e2e.PROGRAM, "run", wasm, "--command", "--scratch", "::/", "--cache",
                                   os.path.join(folder, "cache")], capture_output=True, text=True, timeout=120,
                                  check=False)
        with open(os.path.join(PROGRAMS, "wasi_calls.txt"), encoding="ascii") as stream:
            expected = stream.read().split("\n")
        self.assertEqual(done.stdout.split("\n"), expected, done.stderr)
        self.assertEqual(done.returncode, 33)


if __name__ == "__main__":
    unittest.main()
