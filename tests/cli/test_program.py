#!/usr/bin/env python3
"""The program's surface: help, usage errors and their exit statuses. Usage: test_program.py PROGRAM"""
import json
import os
import pty
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else ""
COMMANDS = ("serve", "build", "prebuild", "run", "init", "cache", "inspect", "status", "logs")


def run(*arguments, **environment):
    env = {name: value for name, value in os.environ.items() if name not in ("TERRAFIRMA_CACHE", "XDG_CACHE_HOME")}
    env.update(environment)
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, env=env,
                          stdin=subprocess.DEVNULL)


class Help(unittest.TestCase):
    def test_of_the_program(self):
        for arguments in (["--help"], ["-h"], ["help"]):
            result = run(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for command in COMMANDS:
                self.assertIn("  " + command + " ", result.stdout)
            self.assertNotIn("_worker", result.stdout)

    def test_of_each_command(self):
        for command in COMMANDS:
            for arguments in ([command, "--help"], [command, "-h"], ["help", command]):
                result = run(*arguments)
                self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)
                self.assertIn("usage: terrafirma " + command, result.stdout)
                for option in ("--cache", "--config", "--set", "--help"):
                    self.assertIn("  " + option, result.stdout)

    def test_lines_fit_a_screen(self):
        for arguments in [["--help"]] + [[command, "--help"] for command in COMMANDS]:
            for line in run(*arguments).stdout.split("\n"):
                self.assertLessEqual(len(line), 130, line)

    def test_version(self):
        result = run("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^terrafirma \d+\.\d+\.\d+\n$")


class WrongUse(unittest.TestCase):
    def wrong(self, says, *arguments, **environment):
        result = run(*arguments, **environment)
        self.assertEqual(result.returncode, 2, (arguments, result))
        self.assertEqual(result.stdout, "")
        self.assertIn(says, result.stderr)
        if arguments:
            self.assertTrue(result.stderr.startswith("terrafirma: "), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_commands(self):
        self.wrong("usage: terrafirma COMMAND")
        self.wrong("'frobnicate': no such command", "frobnicate")
        self.wrong("'frobnicate': no such command", "help", "frobnicate")
        self.wrong("for terrafirma serve", "_worker")
        self.wrong("for terrafirma serve", "_builder")
        self.wrong("for terrafirma serve", "_logs")

    def test_options(self):
        for command in COMMANDS:
            self.wrong("unknown option '--nonsense'", command, "--nonsense")
            self.wrong("--cache wants DIR", command, "--cache")
            self.wrong("is not KEY=VALUE", command, "--set", "limits.wall_ms")
            self.wrong("unknown key 'wal_ms' in limits; perhaps 'wall_ms'", command, "--set", "limits.wal_ms=1")
            self.wrong("from 1 to 3600000 ms", command, "--set", "limits.wall_ms=0")
            self.wrong("terrafirma %s --help" % command, command, "--nonsense=1")
        self.wrong("takes no value", "status", "--json=yes")
        self.wrong("cannot read the configuration", "status", "--config", "/no/such/file")

    def test_arguments(self):
        for command in ("build", "prebuild", "run", "inspect"):
            self.wrong("wants a", command)
            self.wrong("at a time" if command != "build" else "one file", command, "a", "b")
        self.wrong("'x' is no option", "serve", "x")
        self.wrong("'x' is no option", "status", "x")
        self.wrong("is not 'Name: value'", "run", "x.wasm", "--header", "nocolon")
        self.wrong("no line breaks", "run", "x.wasm", "--header", "a: b\r\nc: d")
        self.wrong("wants a function", "logs")
        self.wrong("one function at a time", "logs", "a/b.wasm", "a/c.wasm")
        for name in ("hello.wasm", "_default/hello", "../x/y.wasm", "_default/../../x.wasm", "_default//x.wasm",
                     "A/x.wasm", "/x.wasm", "_default/"):
            self.wrong("is not SITE/FUNCTION", "logs", name)
        self.wrong("does not begin with /", "run", "x.wasm", "--path", "x")

    def test_serve(self):
        self.wrong("no root; say --root DIR", "serve")
        with tempfile.TemporaryDirectory() as folder:
            cache = os.path.join(folder, "cache")
            basis = ("serve", "--root", folder, "--cache", cache)
            self.wrong_last("HOST:PORT", *basis, "--listen", "nowhere")
            self.wrong("from 1 to 256", *basis, "--workers", "0")
            self.wrong_last("there is no user", *basis, "--user", "no-such-user-here")
            for key in ("worker", "builder", "logs"):
                self.wrong("users.%s: there is no user" % key, *basis, "--set", "users.%s=no-such-user-here" % key)
            self.wrong("logs.functions_known: 5 is less", *basis, "--set", "logs.functions_known=5")
            file = os.path.join(folder, "file")
            with open(file, "w", encoding="utf-8"):
                pass
            self.wrong("not a folder", "serve", "--root", file, "--cache", cache)
            with open(file, "w", encoding="utf-8") as stream:
                stream.write("workers: 1\nlimits:\n  wall_ms: fast\n")
            self.wrong(file + ":3:12: limits.wall_ms: 'fast' is not allowed", *basis, "--config", file)

    def wrong_last(self, says, *arguments):
        """As wrong(); started as root, serve says one line more, first."""
        result = run(*arguments)
        self.assertEqual(result.returncode, 2, result)
        self.assertIn(says, result.stderr.rstrip("\n").split("\n")[-1])


class Failures(unittest.TestCase):
    def failed(self, says, *arguments, **environment):
        result = run(*arguments, **environment)
        self.assertEqual(result.returncode, 1, result)
        self.assertIn(says, result.stderr)

    def test_missing_files(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = os.path.join(folder, "missing")
            cache = ("--cache", os.path.join(folder, "cache"))
            for command in ("build", "run", "inspect"):
                self.failed("missing: No such file", command, missing, *cache)
            self.failed("missing: No such file", "prebuild", missing, *cache)
            self.failed("missing: No such file", "serve", "--root", missing, *cache)
            self.failed("no cache folder", "inspect", "0" * 64, *cache)

    def test_status_without_a_builder(self):
        with tempfile.TemporaryDirectory() as folder:
            self.failed("knows no builder", "status", "--cache", os.path.join(folder, "cache"))
            self.failed("knows no builder", "status", TERRAFIRMA_CACHE=os.path.join(folder, "cache"))


class Status(unittest.TestCase):
    """The report is written by hand: what a builder writes is tested with the builder."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = os.path.join(self.folder.name, "cache")
        self.report = {"root": "/srv/root", "generation": 7, "updated": "2024-01-02T03:04:05.678Z", "functions": [
            {"site": "b.example", "path": "x.wasm", "state": "live", "key": "00", "version": "0123456789ab",
             "build_id": "0011223344556677", "source_bytes": 10, "built_at": "2024-01-02T03:04:05.678Z", "build_ms": 5,
             "error": {"code": "refused", "text": "import \u001b[2Jenv.x is unknown", "at": "2024-01-02T03:05:05.678Z",
                       "source_sha256": None}},
            {"site": "a.example", "path": "y.wasm", "state": "building", "key": None, "version": None,
             "build_id": "0011223344556678", "source_bytes": 0, "built_at": None, "build_ms": 0, "error": None}]}
        roots = os.path.join(self.cache, "roots", "0123456789abcdef")
        os.makedirs(roots)
        with open(os.path.join(roots, "status.json"), "w", encoding="utf-8") as stream:
            json.dump(self.report, stream)

    def test_table(self):
        result = run("status", "--cache", self.cache)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = result.stdout.split("\n")
        self.assertIn("root /srv/root, generation 7", lines[0])
        self.assertIn("builder not running", lines[0])
        self.assertTrue(lines[2].startswith("building ") and lines[2].endswith("a.example/y.wasm"), lines)
        self.assertTrue(lines[3].startswith("live      -         0123456789ab 2024-01-02T03:04:05"), lines)
        self.assertIn("refused: import \\x1b[2Jenv.x is unknown (build 0011223344556677", lines[4])

    def test_json(self):
        result = run("status", "--cache", self.cache, "--json")
        self.assertEqual(json.loads(result.stdout), self.report)

    def write_state(self):
        metrics = {"version": 1, "started": "2024-01-02T03:04:05Z", "updated": "2024-01-02T03:05:05Z",
                   "total": {"requests": 4}, "workers": [{"index": 0, "dropped": 3, "facts": {"process": 77}}],
                   "sites": {"a.example": {"requests": 4, "cpu_ns": 8000, "classes": {"2xx": 3, "5xx": 1},
                                           "traps": {"exit": 1}, "p50_us": 12}}}
        server = {"version": 1, "crashes": [{"at": "2024-01-02T03:04:05Z", "worker": 0, "pid": 9, "signal": 6,
                                             "site": "a.example", "function": "x\u001b.wasm", "key": "00112233445566"}],
                  "quarantine": [{"until": "2024-01-02T03:14:05Z", "times": 1, "site": "a.example",
                                  "function": "x.wasm", "key": "00112233445566"}]}
        folder = os.path.join(self.cache, "state", "0123456789abcdef")
        os.makedirs(folder)
        for name, value in (("metrics", metrics), ("server", server)):
            with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as stream:
                json.dump(value, stream)
        return metrics, server

    def test_counters(self):
        metrics, server = self.write_state()
        result = run("status", "--cache", self.cache)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"\n +4 +3 +0 +0 +1 +1 +2\.0 +0\.0 +12 +0  a\.example\n")
        self.assertIn("worker 0: pid 77,", result.stdout)
        self.assertIn("3 records lost", result.stdout)
        self.assertIn("signal 6 (Aborted), while it ran a.example/x\\x1b.wasm (artifact 001122334455)", result.stdout)
        self.assertIn("quarantine: until 2024-01-02T03:14:05: a.example/x.wasm", result.stdout)
        result = run("status", "--cache", self.cache, "--json")
        self.assertEqual(json.loads(result.stdout), dict(self.report, metrics=metrics, server=server))
        result = run("status", "--cache", self.cache, "--prometheus")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r'(?m)^terrafirma_\w*requests\w*\{.*site="a\.example".*\} ')

    def test_damaged_counters(self):
        self.write_state()
        folder = os.path.join(self.cache, "state", "0123456789abcdef")
        for text in ("", "[]", "{", '{"sites": 5, "total": [], "workers": {}}', '{"sites": {"a": 7}, "workers": [3]}'):
            for name in ("metrics.json", "server.json"):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
                    stream.write(text)
            for option in ((), ("--json",)):
                result = run("status", "--cache", self.cache, *option)
                self.assertEqual(result.returncode, 0, (text, result))

    def test_prometheus_without_a_server(self):
        result = run("status", "--cache", self.cache, "--prometheus")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("no server has run", result.stderr)

    def test_logs(self):
        self.write_state()
        folder = os.path.join(self.cache, "log", "0123456789abcdef", "functions", "a.example")
        os.makedirs(folder)
        with open(os.path.join(folder, "api%2Fx.wasm.log"), "wb") as stream:
            stream.write(b"a line\nanother \x1b[2J\n")
        result = run("logs", "a.example/api/x.wasm", "--cache", self.cache)
        self.assertEqual((result.returncode, result.stdout), (0, "a line\nanother \\x1b[2J\n"))
        result = run("logs", "a.example/other.wasm", "--cache", self.cache)
        self.assertEqual(result.returncode, 1)
        self.assertIn("has no log", result.stderr)

    def test_other_root(self):
        result = run("status", "--cache", self.cache, "--root", self.folder.name)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no builder has watched it", result.stderr)


WAT = """(module (import "env" "hostcall_resp_set_body" (func $body (param i32 i32 i32) (result i32))) (memory 1)
  (data (i32.const 0) "%d") (func (export "run") (drop (call $body (i32.const 0) (i32.const 0) (i32.const 1)))))"""
WABT = os.environ.get("TF_WABT_PREFIX", "/opt/terrafirma/wabt-1.0.36") + "/bin/wat2wasm"


@unittest.skipUnless(os.path.exists(WABT), "needs wat2wasm")
class Prebuild(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tf-test-prebuild-")
        self.addCleanup(self.folder.cleanup)
        self.source = os.path.join(self.folder.name, "source")
        self.report = os.path.join(self.folder.name, "report.json")
        os.mkdir(self.source)
        for i in range(2):
            subprocess.run([WABT, "-", "-o", "%s/f%d.wasm" % (self.source, i)], input=(WAT % i).encode(), check=True)

    def prebuild(self, *arguments):
        result = run("prebuild", self.source, "--cache", os.path.join(self.folder.name, "cache"), "--report",
                     self.report, *arguments)
        with open(self.report, encoding="utf-8") as stream:
            return result, json.load(stream)

    def test_of_all_targets_and_again(self):
        everything = ("--cpu", "x86-64-v2,x86-64-v3", "--profile", "fast,strict", "--jobs", "2")
        result, report = self.prebuild(*everything)
        self.assertEqual((result.returncode, report["built"], report["failed"]), (0, 8, 0))
        self.assertEqual(len({outcome["key"] for outcome in report["outcomes"]}), 8)
        self.assertEqual({(outcome["cpu_level"], outcome["profile"]) for outcome in report["outcomes"]},
                         {(2, "fast"), (2, "strict"), (3, "fast"), (3, "strict")})
        self.assertGreater(report["outcomes"][0]["stages_ms"]["cc"], 0)
        result, report = self.prebuild(*everything)
        self.assertEqual((result.returncode, report["built"], report["known"]), (0, 0, 8))

    def test_the_largest_comes_first(self):
        large = (WAT % 7).replace('"7"', '"%s"' % ("7" * 4000))
        subprocess.run([WABT, "-", "-o", self.source + "/z.wasm"], input=large.encode(), check=True)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        told = b""
        with subprocess.Popen([PROGRAM, "prebuild", self.source, "--jobs", "1", "--cache", self.folder.name + "/cache"],
                              stderr=theirs, stdout=subprocess.DEVNULL) as process:
            os.close(theirs)
            try:
                while chunk := os.read(ours, 4096):
                    told += chunk
            except OSError:
                pass # how a terminal tells that the other end is closed
            process.wait(120)
        self.assertEqual([os.path.basename(word) for word in told.decode().split() if word.endswith(".wasm")],
                         ["z.wasm", "f0.wasm", "f1.wasm"])

    def test_of_what_fails(self):
        with open(self.source + "/bad.wasm", "wb") as stream:
            stream.write(b"no module")
        result, report = self.prebuild()
        self.assertEqual((result.returncode, report["built"], report["failed"]), (1, 2, 1))
        self.assertIn("failed: " + self.source + "/bad.wasm", result.stdout)
        failed = [outcome for outcome in report["outcomes"] if outcome["state"] == "failed"]
        self.assertTrue(failed[0]["file"].endswith("/bad.wasm") and failed[0]["error"])

    def test_of_wrong_words(self):
        for wrong in (["--cpu", "x86-64-v9"], ["--cpu", ""], ["--cpu", "x86-64-v2,"], ["--profile", "slow"]):
            self.assertEqual(run("prebuild", self.source, *wrong).returncode, 2, wrong)


if __name__ == "__main__":
    unittest.main()
