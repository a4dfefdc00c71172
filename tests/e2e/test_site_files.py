"""A program that may read its own site's files: what it finds there, and that it finds nothing of its neighbour's."""
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

import e2e

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "reader.c")
NOBODYS = ("errno 44", "errno 76", "errno 63", "errno 28", "errno 54")  # ENOENT, ENOTCAPABLE, EPERM, EINVAL, ENOTDIR


def reader():
    if not os.path.exists("/usr/lib/wasm32-wasi/libc.a") or shutil.which("clang") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "reader.wasm")
        subprocess.run(["clang", "--target=wasm32-wasi", "-O1", "-o", out, SOURCE], check=True)
        with open(out, "rb") as stream:
            return stream.read()


PROGRAM = reader()


@unittest.skipIf(PROGRAM is None, "no wasi-libc")
class SiteFiles(e2e.Case):
    @classmethod
    def prepare(cls, server):
        put = server.put
        put("reader.yaml", b"files: yes\n")
        put("reader.wasm", PROGRAM)
        put("blind.wasm", PROGRAM)
        put("data/a.txt", b"alpha")
        put("data/deep/b.txt", b"beta")
        put("data/big.bin", b"x" * (8 << 20))
        put("data/huge.bin", b"x" * (40 << 20))
        put("data/.hidden", b"no")
        put(".env", b"no")
        put("free.yaml", b"of no function")
        put("secret.txt", b"neighbour's", "b.example")
        put("reader.wasm", PROGRAM, "b.example")
        os.symlink("data/a.txt", server.path("link.txt"))
        os.symlink("../b.example/secret.txt", server.path("out.txt"))
        os.symlink("../b.example", server.path("out"))
        os.symlink("/etc", server.path("etc"))
        os.mkfifo(server.path("pipe"))

    def setUp(self):
        for name in ("_default/reader.wasm", "_default/blind.wasm", "b.example/reader.wasm"):
            self.server.wait_for_state(name, "live")
        self.server.wait_for("/reader")
        self.server.wait_for("/blind")

    def ask(self, query, path="/reader"):
        response = self.server.ask(path + "?" + query)
        self.assert_status(response, 200)
        return response.body.decode()

    def test_what_is_there(self):
        self.assertEqual(set(self.ask("list=/site").split()) - {"race/"}, {"../", "./", "data/", "free.yaml"})
        self.assertEqual(sorted(self.ask("list=/site/data").split()),
                         ["../", "./", "a.txt", "big.bin", "deep/", "huge.bin"])
        self.assertEqual(self.ask("read=/site/data/a.txt"), "alpha\n5 bytes\n")
        self.assertEqual(self.ask("read=/site/data/deep/../a.txt"), "alpha\n5 bytes\n")
        self.assertEqual(self.ask("read=/site/data/deep/b.txt"), "beta\n4 bytes\n")
        self.assertEqual(self.ask("stat=/site/data/big.bin"), "%d bytes\n" % (8 << 20))
        self.assertIn("%d bytes" % (8 << 20), self.ask("read=/site/data/big.bin"))
        self.assertIn("errno", self.ask("read=/site/data/huge.bin"))  # over scratch_bytes
        self.assertEqual(self.ask("read=/site/data/a.txt"), "alpha\n5 bytes\n")

    def test_changes_are_seen_by_the_next_request(self):
        self.server.put("data/new.txt", b"one")
        self.assertEqual(self.ask("read=/site/data/new.txt"), "one\n3 bytes\n")
        self.server.put("data/new.txt", b"three")
        self.assertEqual(self.ask("read=/site/data/new.txt"), "three\n5 bytes\n")
        os.unlink(self.server.path("data/new.txt"))
        self.assertEqual(self.ask("read=/site/data/new.txt"), "errno 44\n")

    def test_what_is_not_given(self):
        for path in ("reader.wasm", "reader.yaml", "READER.YAML", ".env", "data/.hidden", "link.txt", "out.txt",
                     "out/secret.txt", "etc/passwd", "pipe", "../b.example/secret.txt", "../../etc/passwd",
                     "data/../../b.example/secret.txt", "/etc/passwd", "data/a.txt/", "data/a.txt/x",
                     "data/deep/../../../b.example/secret.txt", "out/../b.example/secret.txt", "./out.txt"):
            answer = self.ask("read=/site/" + path).strip()
            self.assertIn(answer, NOBODYS + ("errno 31",), path)
        for path in ("/b.example/secret.txt", "/etc/passwd", "../etc/passwd", "/proc/self/environ", "/site/../tmp"):
            self.assertIn(self.ask("read=" + path).strip(), NOBODYS + ("errno 31",), path)
        self.assertIn(self.ask("list=/site/out").strip(), NOBODYS)
        self.assertIn(self.ask("list=/site/..").strip(), NOBODYS)

    def test_nothing_is_written(self):
        for path in ("/site/new", "/site/data/a.txt", "/site/free.yaml"):
            self.assertIn(self.ask("write=" + path).strip(), ("76", "69", "2", "63"), path)
        self.assertFalse(os.path.exists(self.server.path("new")))
        self.assertEqual(self.ask("read=/site/data/a.txt"), "alpha\n5 bytes\n")

    def test_only_who_asks(self):
        self.assertIn(self.ask("list=/site", "/blind").strip(), NOBODYS)
        self.assertIn(self.ask("read=/site/data/a.txt", "/blind").strip(), NOBODYS)

    def test_races_lead_nowhere_else(self):
        """A folder that turns into a link to the neighbour's and back, while it is read."""
        self.server.put("race/secret.txt", b"own")
        own, aside, link = (self.server.path(name) for name in ("race", "race-aside", "race-link"))
        os.symlink("../b.example", link)
        stop = threading.Event()

        def swap():
            while not stop.is_set():
                os.rename(own, aside)
                os.rename(link, own)
                os.rename(own, link)
                os.rename(aside, own)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            seen = {self.ask("read=/site/race/secret.txt").strip() for _ in range(300)}
        finally:
            stop.set()
            thread.join()
        for answer in seen:
            self.assertIn(answer, NOBODYS + ("own\n3 bytes", "errno 29"))

    def test_many_at_once(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("read=/site/data/deep/b.txt")))
                   for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, ["beta\n4 bytes\n"] * 30)


@unittest.skipIf(PROGRAM is None, "no wasi-libc")
class Forbidden(e2e.Case):
    config = "functions:\n  site_files: no\n"

    @classmethod
    def prepare(cls, server):
        server.put("reader.yaml", b"files: yes\n")
        server.put("reader.wasm", PROGRAM)

    def test_the_operator_rules(self):
        self.server.wait_for("/reader")
        self.assertIn(self.server.ask("/reader?list=/site").body.decode().strip(), NOBODYS)


if __name__ == "__main__":
    e2e.main()
