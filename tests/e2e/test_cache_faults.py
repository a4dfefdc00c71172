"""A cache on a full disk, on a read-only file system, without permission, and under clocks that jump: what is said,
that nothing is lost, and that it goes on once the cause is gone. Usage: test_cache_faults.py"""
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import guests
from e2e import LIBC, PROGRAM, Server, in_child

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 16384, 1 << 18
NOBODY = 65534
FAKETIME = shutil.which("faketime")
FEW = ("--set", "limits.cache_bytes=1", "--set", "limits.cache_grace_s=0")


def mount(kind, target, flags, data=None):
    return LIBC.mount(b"none", target.encode(), kind, flags, data) == 0


def in_own_mounts(test):
    """Runs the test in a child with mounts of its own; skipped where that is not allowed."""
    @functools.wraps(test)
    def run_in_child(self):
        def body():
            if LIBC.unshare(CLONE_NEWNS) != 0 or not mount(None, "/", MS_REC | MS_PRIVATE) or \
                    not mount(b"tmpfs", self.small, 0, b"size=2m,mode=755"):
                return False
            return test(self)
        if os.geteuid() != 0:
            self.skipTest("needs root to mount")
        in_child(self, body)
    return run_in_child


def tree(folder):
    """Sizes of all files that count."""
    return {os.path.join(path, name): os.path.getsize(os.path.join(path, name))
            for part in ("store", "hot", "index", "trust") for path, _, names in os.walk(os.path.join(folder, part))
            for name in names}


class Faults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tf-e2e-faults-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        self.small = os.path.join(self.folder, "small")
        os.mkdir(self.small)
        self.cache = os.path.join(self.small, "cache")
        self.modules = os.path.join(self.folder, "modules")
        os.mkdir(self.modules)
        for name in ("one", "two", "three"):
            with open(self.module(name), "wb") as stream:
                stream.write(guests.answer("this is " + name))

    def module(self, name):
        return os.path.join(self.modules, name + ".wasm")

    def run_program(self, *words, prefix=(), cache=None, **more):
        return subprocess.run([*prefix, PROGRAM, *words, "--cache", cache or self.cache], capture_output=True,
                              text=True, timeout=120, check=False, **more)

    def fine(self, *words, **more):
        result = self.run_program(*words, **more)
        self.assertEqual(result.returncode, 0, "%s: %s%s" % (words, result.stdout, result.stderr))
        return result.stdout

    def fails(self, why, *words, **more):
        """With status 1 and that reason; what is in the cache stays as it was, and whole."""
        before = tree(self.cache)
        result = self.run_program(*words, **more)
        self.assertEqual(result.returncode, 1, "%s: %s%s" % (words, result.stdout, result.stderr))
        self.assertIn(why, result.stdout + result.stderr, words)
        self.assertEqual({path: size for path, size in tree(self.cache).items() if path in before}, before, words)
        self.fine("cache", "verify")

    def make_bundle(self):
        """Of another cache, that this one trusts."""
        other, bundle = os.path.join(self.folder, "other"), os.path.join(self.folder, "bundle")
        self.fine("prebuild", self.modules, cache=other)
        self.fine("cache", "export", "-o", bundle, cache=other)
        self.fine("cache", "trust", self.fine("cache", "key", cache=other).strip())
        return bundle

    def fill(self):
        """The small disk, but for some blocks."""
        place = os.path.join(self.small, "filler")
        with open(place, "wb") as stream:
            free = os.statvfs(self.small)
            stream.write(b"\0" * ((free.f_bavail - 2) * free.f_frsize))
        return place

    @in_own_mounts
    def test_disk_full(self):
        full = "No space left on device"
        self.fine("build", self.module("one"))
        bundle = self.make_bundle()
        filler = self.fill()
        self.fails(full, "build", self.module("two"))
        self.fails(full, "prebuild", self.modules)
        before = tree(self.cache)
        self.fails(full, "cache", "import", bundle)
        self.assertEqual(tree(self.cache), before)
        out = os.path.join(self.small, "bundle")
        self.fails(full, "cache", "export", "-o", out, cache=os.path.join(self.folder, "other"))
        self.assertFalse(os.path.exists(out))
        self.assertIn("the cache", self.fine("build", self.module("one")))
        self.fine("cache", "gc", *FEW)
        self.assertFalse([path for path in tree(self.cache) if path.startswith(os.path.join(self.cache, "store"))])
        os.unlink(filler)
        self.fine("build", self.module("two"))
        self.fine("cache", "import", bundle)
        self.fine("cache", "verify")

    @in_own_mounts
    def test_disk_full_while_serving(self):
        server = Server(config="watcher: {rescan_s: 1}\nlogs: {access_format: 'off'}\n")
        server.cache = self.cache
        with server:
            server.put("a.wasm", guests.answer("first"))
            server.wait_for("/a", body=b"first")
            filler = self.fill()
            server.put("b.wasm", guests.answer("second"))
            server.until(lambda: "No space left on device" in server.log_text(), "the log says why")
            self.assertEqual(server.ask("/a").body, b"first")
            self.fine("cache", "verify")
            os.unlink(filler)
            server.wait_for("/b", body=b"second")

    @in_own_mounts
    def test_read_only(self):
        read_only = "Read-only file system"
        self.fine("build", self.module("one"))
        key = self.fine("cache", "list").split("\n")[1][:64]
        bundle = self.make_bundle()
        self.assertTrue(mount(b"tmpfs", self.small, MS_REMOUNT | MS_RDONLY))
        for words in (["build", self.module("two")], ["prebuild", self.modules], ["cache", "import", bundle],
                      ["cache", "pin", key], ["cache", "gc", *FEW]):
            self.fails(read_only, *words)
        self.fails(read_only, "serve", "--root", self.modules, "--listen", "127.0.0.1:0")
        # What only reads goes on.
        for words in (["build", self.module("one")], ["cache", "list"], ["cache", "key"],
                      ["cache", "export", "-o", os.path.join(self.folder, "exported")]):
            self.fine(*words)
        self.assertTrue(mount(b"tmpfs", self.small, MS_REMOUNT, b"size=2m"))
        self.fine("build", self.module("two"))
        self.fine("cache", "pin", key)
        self.fine("cache", "verify")

    def test_permission_denied(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to be somebody else")
        self.fine("build", self.module("one"))
        bundle = self.make_bundle()
        key = self.fine("cache", "list").split("\n")[1][:64]
        denied, nobody = "Permission denied", {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        if self.run_program("cache", "list", **nobody).returncode != 0:
            self.skipTest("others may not even start the program here")
        for words in (["build", self.module("two")], ["prebuild", self.modules], ["cache", "import", bundle],
                      ["cache", "pin", key], ["cache", "gc", *FEW], ["init"], ["cache", "trust", "ab" * 32]):
            self.fails(denied, *words, **nobody)
        self.fine("cache", "verify", **nobody)
        self.fine("build", self.module("two"))

    def test_permission_denied_while_serving(self):
        """The cache is taken from the builder's user, and given back."""
        if os.geteuid() != 0:
            self.skipTest("needs root to be somebody else")
        server = Server(config="user: nobody\nwatcher: {rescan_s: 1}\n")
        os.chmod(server.folder, 0o755)
        with server:
            server.put("a.wasm", guests.answer("first"))
            server.wait_for("/a", body=b"first")
            parts = [os.path.join(server.cache, part) for part in ("tmp", "store", "hot", "index")]
            modes = [os.stat(part).st_mode & 0o777 for part in parts]
            for part in parts:
                os.chmod(part, 0o555)
            server.put("b.wasm", guests.answer("second"))
            server.until(lambda: "Permission denied" in server.log_text(), "the log says why")
            self.assertEqual(server.ask("/a").body, b"first")
            for part, mode in zip(parts, modes):
                os.chmod(part, mode)
            server.wait_for("/b", body=b"second")

    @unittest.skipUnless(FAKETIME, "needs faketime")
    def test_clocks_that_jump(self):
        def at(offset):
            return {"prefix": [FAKETIME, "-f", offset], "env": {**os.environ, "NO_FAKE_STAT": "1"}}
        with Server() as server:
            server.put("live.wasm", guests.answer("live"))
            live = server.wait_for_state("_default/live.wasm", "live")["key"]
            self.cache = server.cache

            def keys(**more):
                return {line[:64] for line in self.fine("cache", "list", **more).split("\n")[1:] if line}
            self.fine("build", self.module("one"))
            pinned = (keys() - {live}).pop()
            self.fine("cache", "pin", pinned)
            self.fine("build", self.module("two"))
            loose = (keys() - {live, pinned}).pop()
            # Back: all of it was used in the future, which counts as just now.
            self.fine("cache", "gc", "--set", "limits.cache_bytes=1", "--set", "limits.cache_grace_s=60", **at("-60d"))
            self.assertEqual(keys(), {live, pinned, loose})
            self.fine("cache", "verify", **at("-60d"))
            # Forward: what nobody wants is taken for unused; what is live or pinned stays.
            self.fine("cache", "verify", **at("+60d"))
            self.fine("cache", "gc", **at("+60d"))
            self.assertEqual(keys(), {live, pinned})
            self.assertEqual(server.ask("/live").body, b"live")
            # Built while the clock was ahead, or behind: as good as any other, and known.
            for name, offset in (("two", "+60d"), ("three", "-60d")):
                self.fine("build", self.module(name), **at(offset))
                before = keys()
                self.assertIn("the cache", self.fine("build", self.module(name)))
                self.assertEqual(keys(), before)
            self.fine("cache", "verify")
            self.fine("cache", "gc", *FEW)
            self.assertEqual(keys(), {live, pinned})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
