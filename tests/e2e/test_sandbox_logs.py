"""What is seen from outside: logs, counters, crash reports; and who the processes are that tell."""
import glob
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import e2e
import guests
import observe


class Logs(e2e.Case):
    workers = 2
    limits = {"wall_ms": 1500, "cpu_ms": 300}

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))
        server.put("ok.wasm", guests.answer("other"), site="a.example")
        server.put("panic.wasm", guests.module(guests.PANIC))
        server.put("loop.wasm", guests.module(guests.LOOP))
        server.put("refused.wasm", guests.import_of("env", "no_such_call", ""))
        server.put("dir/file.txt", b"0123456789")
        server.put("talks.wasm", guests.module(guests.wat(
            ["debug"], "(memory.fill (i32.const 0) (i32.const 65) (i32.const 6000))"
            " (i32.store8 (i32.const 7) (i32.const 10)) (call $debug (i32.const 0) (i32.const 6000))")))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("ok.wasm", "talks.wasm"):
            cls.server.wait_for("/" + name)
        cls.server.wait_for("/ok.wasm", host="a.example")
        cls.server.wait_for("/refused.wasm", 502)
        cls.server.wait_for("/panic.wasm", 502)
        cls.server.wait_for("/loop.wasm", 504)

    def test_every_answer_has_a_line(self):
        server = self.server
        asked = [("/ok.wasm?x=1", "localhost", "GET", 200, "ok.wasm", "returned", 4),
                 ("/ok.wasm/more", "a.example", "GET", 200, "ok.wasm", "returned", 5),
                 ("/ok.wasm?head", "localhost", "HEAD", 200, "ok.wasm", "returned", 0),
                 ("/refused.wasm?y", "localhost", "GET", 502, "refused.wasm", "failed", None),
                 ("/dir/file.txt", "localhost", "GET", 200, "", "none", 10),
                 ("/dir/file.txt?h", "localhost", "HEAD", 200, "", "none", 0),
                 ("/dir", "localhost", "GET", 301, "", "none", None),
                 ("/nothing", "localhost", "GET", 404, "", "none", None),
                 ("/dir/file.txt?p", "localhost", "POST", 405, "", "none", None),
                 ("/bad%zz", "localhost", "GET", 400, "", "none", None),
                 ("/method", "localhost", "BREW", 501, "", "none", None)]
        for target, host, method, status, function, outcome, size in asked:
            response = server.ask(target, host=host, method=method, headers=[("User-Agent", "a \"test\"")])
            self.assert_status(response, status)
            line = observe.line_of(server, target)
            self.assertEqual((line["status"], line["method"], line["function"], line["outcome"]),
                             (status, method, function, outcome), line)
            self.assertEqual(line["site"], "" if status == 501 else "a.example" if host == "a.example" else "_default")
            self.assertEqual((line["address"], line["protocol"], line["agent"]), ("127.0.0.1", "HTTP/1.1", 'a "test"'))
            if size is not None:
                self.assertEqual(line["bytes"], size, line)
            self.assertGreaterEqual(line["wall_ns"], line["cpu_ns"])
            self.assertLess(line["wall_ns"], 60e9)
            if outcome == "returned":
                self.assertGreater(line["cpu_ns"], 0)

    def test_refusals_below_the_handler(self):
        for raw, status in ((b"GET /two HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                            (b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413)):
            self.assert_status(self.server.raw(raw), status)
            target = raw.split(b" ")[1].decode()
            self.assertEqual(observe.line_of(self.server, target)["status"], status)

    def test_time_is_real(self):
        self.server.ask("/ok.wasm?time")
        line = observe.line_of(self.server, "/ok.wasm?time")
        logged = time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        self.assertLess(abs(logged - time.time()), 60)

    def test_failures(self):
        response = self.server.ask("/panic.wasm?f")
        self.assert_status(response, 502)
        line = observe.line_of(self.server, "/panic.wasm?f")
        self.assertEqual((line["outcome"], line["trap"]), ("trapped", "unreachable"))
        self.assertIn(line["error"], response.body.decode())
        printed = self.server.until(lambda: line["error"] in self.logs("_default/panic.wasm").stdout and
                                    self.logs("_default/panic.wasm"), "the function's log has it", 20)
        self.assertIn("panic: secret", printed.stdout)
        self.assertRegex(printed.stdout, r"error %s: trapped: unreachable.* in function \d+ at \+0x" % line["error"])
        # Neither is anything for the server's own log.
        with open(self.server.log, encoding="utf-8") as stream:
            text = stream.read()
        self.assertNotIn("secret", text)
        self.assertNotIn(line["error"], text)

    def test_a_trap_is_told_with_the_name_that_the_module_gives(self):
        with open(os.path.join(self.server.root, "_default", "panic.wasm"), "rb") as stream:
            bare = stream.read()
        names = b"".join(bytes([number, 9]) + b"number_%c\x1b" % (65 + number) for number in range(20))
        inner = b"\x04name\x01" + bytes([0x80 | (len(names) + 1) & 0x7f, (len(names) + 1) >> 7, 20]) + names
        section = b"\0" + bytes([0x80 | len(inner) & 0x7f, len(inner) >> 7]) + inner
        self.server.put("named.wasm", bare + section)
        self.server.wait_for_state("_default/named.wasm", "live")
        self.assert_status(self.server.ask("/named.wasm?named"), 502)
        error = observe.line_of(self.server, "/named.wasm?named")["error"]

        def told(*more):
            text = observe.program("logs", "_default/named.wasm", "--cache", self.server.cache, *more).stdout
            return [line for line in text.split("\n") if "error %s: " % error in line]
        self.server.until(told, "the function's log has it", 20)
        found = re.search(r", in function (\d+) \(number_(.)\\x1b\) at \+0x[0-9a-f]+ of [0-9a-f]{64}$",
                          told("--root", self.server.root)[0])
        self.assertEqual(int(found[1]), ord(found[2]) - 65)
        self.assertRegex(told()[0], r", in function \d+ at \+0x")
        ran = observe.program("run", os.path.join(self.server.root, "_default", "named.wasm"), "--cache",
                              self.server.cache)
        self.assertRegex(ran.stderr, r"in function %s \(number_%s" % (found[1], found[2]))
        # What is there now is another module: its names are not those of what trapped.
        with open(os.path.join(self.server.root, "_default", "ok.wasm"), "rb") as stream:
            self.server.put("named.wasm", stream.read() + section)
        self.assertNotIn("(", told("--root", self.server.root)[0].split("in function")[1])

    def test_over_time(self):
        self.assert_status(self.server.ask("/loop.wasm?t"), 504)
        line = observe.line_of(self.server, "/loop.wasm?t")
        self.assertEqual(line["outcome"], "cpu over")
        self.assertGreater(line["cpu_ns"], 200e6)

    def test_long_texts(self):
        """6000 bytes are three records; the newline in them starts no line."""
        self.server.ask("/talks.wasm")

        def all_there():
            text = self.logs("_default/talks.wasm").stdout
            return text.count("A") >= 5999 and text

        text = self.server.until(all_there, "all of it is there", 20)
        for line in text.split("\n")[:-1]:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT")

    def logs(self, name):
        return observe.program("logs", name, "--cache", self.server.cache)

    def test_follow(self):
        self.server.ask("/panic.wasm?follow")
        self.server.until(lambda: self.logs("_default/panic.wasm").returncode == 0, "there is a log", 20)
        with subprocess.Popen([e2e.PROGRAM, "logs", "_default/panic.wasm", "--follow", "--cache", self.server.cache],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as following:
            try:
                os.set_blocking(following.stdout.fileno(), False)
                error = self.server.ask("/panic.wasm?follow2").body.decode().split()[-1].strip(".")
                seen = []

                def told():
                    seen.append(following.stdout.read() or b"")
                    return error.encode() in b"".join(seen)

                self.server.until(told, "it follows", 20)
            finally:
                following.kill()

    def test_status(self):
        for _ in range(5):
            self.server.ask("/ok.wasm?status", host="a.example")

        def counted():
            result = observe.program("status", "--root", self.server.root, "--cache", self.server.cache, "--json")
            self.assertEqual(result.returncode, 0, result)
            report = json.loads(result.stdout)
            counts = report.get("metrics", {}).get("sites", {}).get("a.example", {})
            return counts.get("classes", {}).get("2xx", 0) >= 5 and report # those before it was built are others

        report = self.server.until(counted, "they are counted", 20)
        counts = report["metrics"]["sites"]["a.example"]
        self.assertGreater(counts["cpu_ns"], 0)
        self.assertEqual(report["server"]["quarantine"], [])
        self.assertEqual([worker["pid"] for worker in report["server"]["workers"]], self.server.worker_pids())
        self.assertEqual(sum(worker["bad"] + worker["lies"] for worker in report["metrics"]["workers"]), 0)
        self.assertTrue(report["functions"])
        text = observe.program("status", "--cache", self.server.cache)
        self.assertIn("a.example", text.stdout)
        text = observe.program("status", "--cache", self.server.cache, "--prometheus")
        self.assertEqual(text.returncode, 0, text)
        self.assertIn('site="a.example"', text.stdout)


class Life(e2e.Case):
    workers = 2

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))

    def test_the_service_dies(self):
        """Requests go on, and what was in the rings is written when another has taken its place."""
        server = self.server
        server.wait_for("/ok.wasm")
        workers = server.worker_pids()
        for number in range(3):
            pids = observe.children_named(server, "_logs")
            self.assertEqual(len(pids), 1)
            os.kill(pids[0], signal.SIGKILL)
            self.assert_status(server.ask("/ok.wasm?after%d" % number), 200)
            observe.line_of(server, "/ok.wasm?after%d" % number)
        self.assertEqual(server.worker_pids(), workers)

    def test_what_was_asked_last_is_told(self):
        with e2e.Server(workers=2) as server:
            server.put("ok.wasm", guests.answer("fine"))
            server.wait_for("/ok.wasm")
            for number in range(20):
                server.ask("/ok.wasm?last%d" % number)
            self.assertEqual(server.stop(), 0)
            targets = {line["target"] for line in observe.access_lines(server)}
            self.assertLessEqual({"/ok.wasm?last%d" % number for number in range(20)}, targets)
            with open(glob.glob(os.path.join(server.cache, "state", "*", "server.json"))[0],
                      encoding="utf-8") as stream:
                self.assertTrue(json.load(stream)["stopped"])

    def test_without_an_access_log(self):
        """Requests are counted all the same, what stood in a worker's sums at the stop included."""
        with e2e.Server(workers=1, config="logs:\n  access_format: off\n") as server:
            server.put("ok.wasm", guests.answer("fine"), site="a.example")
            server.put("bad.wasm", guests.module(guests.TRAP), site="a.example")
            server.wait_for("/ok.wasm", host="a.example")
            server.wait_for("/bad.wasm", host="a.example", status=502)
            for _ in range(10):
                server.ask("/bad.wasm", host="a.example")

            def counts():
                return observe.metrics(server).get("sites", {}).get("a.example", {})

            server.until(lambda: counts().get("statuses", {}).get("502", 0) >= 10, "they are counted", 20)
            self.assertGreaterEqual(counts()["traps"]["unreachable"], 10)
            self.assertGreaterEqual(counts()["failures"], 10) # told one by one, with their reasons
            before = counts()["statuses"]["200"]
            for _ in range(25):
                server.ask("/ok.wasm", host="a.example")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(counts()["statuses"]["200"], before + 25)
            self.assertEqual(observe.metrics(server)["workers"][0]["bad"], 0)
            self.assertEqual(glob.glob(os.path.join(server.cache, "log", "*", "access.log")), [])

    def test_a_folder_and_a_form(self):
        folder = tempfile.mkdtemp(prefix="tf-e2e-logs-")
        server = e2e.Server(config="logs:\n  log_folder: %s/new/logs\n  access_format: combined\n  address: none\n"
                                   "  leave_out_query: 'yes'\n" % folder)
        try:
            server.put("ok.wasm", guests.answer("fine"))
            server.start()
            server.wait_for("/ok.wasm")
            server.ask("/ok.wasm?private")
            path = os.path.join(folder, "new", "logs", "access.log")
            self.assertEqual(server.stop(), 0)
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            self.assertIn("GET /ok.wasm", text)
            self.assertNotIn("private", text)
            self.assertNotIn("127.0.0.1", text)
        finally:
            server.close()
            shutil.rmtree(folder)


def everybody_may_reach(path):
    path = os.path.realpath(path)
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return False
    return True


@unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
class Users(unittest.TestCase):
    NAMES = ("nobody", "daemon", "bin", "games", "man", "lp")

    def test_each_its_own(self):
        for name in self.NAMES:
            pwd.getpwnam(name)
        if not everybody_may_reach(e2e.PROGRAM):
            self.skipTest("another user than root cannot reach %s" % e2e.PROGRAM)
        folder = tempfile.mkdtemp(prefix="tf-e2e-users-")
        os.chmod(folder, 0o755)
        server = e2e.Server(config="users:\n  worker: nobody\n  builder: daemon\n  logs: bin\n"
                                   "  outbound: games\n  kv: man\n  domains: lp\n")
        try:
            os.chmod(server.folder, 0o755)
            server.put("ok.wasm", guests.answer("fine"))
            server.put("panic.wasm", guests.module(guests.PANIC))
            server.start()
            server.wait_for("/ok.wasm")
            server.wait_for("/panic.wasm", 502)
            observe.line_of(server, "/panic.wasm", 502)
            for word, names in (("_worker", ["nobody"]), ("_builder", ["daemon"]), ("_logs", ["bin"]),
                                ("_service", ["games", "man", "lp"])):
                pids = observe.children_named(server, word)
                users = sorted(os.stat("/proc/%d" % pid).st_uid for pid in pids)
                self.assertEqual(users, sorted(pwd.getpwnam(name).pw_uid for name in names), word)
                for pid in pids:
                    with open("/proc/%d/status" % pid, encoding="utf-8") as stream:
                        status = stream.read()
                    self.assertRegex(status, r"(?m)^CapEff:\s0+$")
                    self.assertRegex(status, r"(?m)^NoNewPrivs:\s1$")
                    if word != "_builder":
                        self.assertRegex(status, r"(?m)^Seccomp:\s2$")
            for what, name in (("log", "bin"), ("state", "bin"), ("kv", "man")):
                made = os.stat(glob.glob(os.path.join(server.cache, what, "*"))[0])
                self.assertEqual((made.st_uid, made.st_mode & 0o777), (pwd.getpwnam(name).pw_uid, 0o750))
            self.assertNotIn("stay root", server.log_text())
        finally:
            server.close()
            shutil.rmtree(folder)


if __name__ == "__main__":
    e2e.main()
