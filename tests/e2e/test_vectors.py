"""Runs the guests of tests/guests and the examples by `terrafirma run` and compares what comes out (vectors.py)."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import e2e
import vectors


class Outcome:
    """What one run printed: on standard output a response, on standard error the log and how the guest ended."""

    def __init__(self, process):
        self.code, self.errors = process.returncode, process.stderr.decode("utf-8", "replace")
        head, _, self.body = process.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/1.1 ") else None
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]

    def __repr__(self):
        return "<exit %d, %s %r %r, %s>" % (self.code, self.status, self.fields, self.body[:200], self.errors[-500:])


def module_of(vector):
    folder = ("examples", "site", "_default") if vector.guest.startswith("examples/") else ("tests", "guests")
    return os.path.join(e2e.BUILD, *folder, vector.guest.split("/")[-1] + ".wasm")


# How they are compiled: "fast" or "strict", the first argument.
PROFILE = "fast"


class Vectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tf-vectors-")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def run_vector(self, vector):
        command = [e2e.PROGRAM, "run", module_of(vector), "--cache", os.path.join(self.folder, "cache"), "--method",
                   vector.method, "--path", vector.path, "--data", "@-", "--set", "toolchain.profile=" + PROFILE]
        for name, value in vector.headers:
            command += ["--header", "%s: %s" % (name, value)]
        for name, value in vector.limits.items():
            command += ["--set", "limits.%s=%d" % (name, value)]
        return Outcome(subprocess.run(command, input=vector.body, capture_output=True, timeout=e2e.PATIENCE,
                                      check=False))

    def check_end(self, vector, outcome):
        """It ended without a response, and says so."""
        self.assertEqual(outcome.code, 1, outcome)
        self.assertIsNone(outcome.status, outcome)
        if vector.trap:
            self.assertIn("trapped: " + vector.trap, outcome.errors)
        else:
            self.assertIn("cpu_ms", outcome.errors)

    def check_response(self, vector, outcome):
        self.assertEqual((outcome.code, outcome.status), (0, vector.status), outcome)
        self.assertEqual(outcome.fields.pop(), ("content-length", str(len(outcome.body))))
        if vector.fields is not None:
            self.assertEqual(sorted(outcome.fields), sorted(vector.fields))
        if vector.answer is not None:
            self.assertTrue(outcome.body == vector.answer, outcome)
        if vector.contains is not None:
            self.assertIn(vector.contains, outcome.body)

    def test_all(self):
        self.assertGreater(len(vectors.VECTORS), 100)
        for vector in vectors.VECTORS:
            with self.subTest(str(vector)[:80]):
                outcome = self.run_vector(vector)
                if vector.trap or vector.time:
                    self.check_end(vector, outcome)
                else:
                    self.check_response(vector, outcome)
                if vector.log:
                    self.assertIn(vector.log, outcome.errors)

    def test_every_guest_has_a_vector(self):
        built = {name[:-5] for name in os.listdir(os.path.join(e2e.BUILD, "tests", "guests")) if name.endswith(".wasm")}
        self.assertEqual(built - {vector.guest for vector in vectors.VECTORS}, set())


if __name__ == "__main__":
    if sys.argv[1:2] in (["fast"], ["strict"]):
        PROFILE = sys.argv.pop(1)
    e2e.main()
