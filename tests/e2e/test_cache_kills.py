"""kill -9 of everything that writes or reads a cache, at random points: the cache verifies after each, and nothing that
is live or pinned is lost. Usage: test_cache_kills.py [KILLS]"""
import glob
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import guests
from e2e import PROGRAM, Server

KILLS = 30
FEW = ("--set", "limits.cache_bytes=1", "--set", "limits.cache_grace_s=0")


def run(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120, check=False)


def descendants(pid):
    """{pid: command line} of all processes below that one."""
    parents, lines = {}, {}
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                with open("/proc/%s/stat" % name, encoding="ascii", errors="replace") as stream:
                    parents[int(name)] = int(stream.read().rsplit(")", 1)[1].split()[1])
                with open("/proc/%s/cmdline" % name, encoding="ascii", errors="replace") as stream:
                    lines[int(name)] = stream.read()
        except OSError:
            pass
    found, last = {pid}, 0
    while len(found) > last:
        last = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return {child: lines.get(child, "") for child in found if child != pid}


class Kills(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(1)
        self.folder = tempfile.mkdtemp(prefix="tf-e2e-kills-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bundle, self.other = self.place("bundle"), self.place("other")
        self.fresh = 0

    def place(self, name):
        return os.path.join(self.folder, name)

    def module(self, name):
        """A file that no cache has seen."""
        self.fresh += 1
        os.makedirs(os.path.dirname(self.place(name)), exist_ok=True)
        with open(self.place(name), "wb") as stream:
            stream.write(guests.answer("module %d" % self.fresh))
        return self.place(name)

    def cache(self, folder, *words):
        result = run("cache", *words, "--cache", folder)
        self.assertEqual(result.returncode, 0, "%s: %s%s" % (words, result.stdout, result.stderr))
        return result.stdout

    def wanted(self, cache, keys):
        """Hashes of every file of these artifacts."""
        found = {}
        for key in keys:
            paths = glob.glob(os.path.join(cache, "hot", key[:2], key, "*"))
            paths.append(os.path.join(cache, "store", key[:2], key + ".tfa"))
            for path in paths:
                with open(path, "rb") as stream:
                    found[path] = hashlib.sha256(stream.read()).hexdigest()
        self.assertGreaterEqual(len(found), 3 * len(keys))
        return found

    def kill_command(self, words, longest_s):
        """Whether it was killed before it ended; its children end with it."""
        process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL)
        time.sleep(self.random.random() * longest_s)
        process.kill()
        return process.wait(30) == -signal.SIGKILL

    def commands(self, server, pinned):
        """Name, words, and the cache that it works on."""
        key = self.random.choice(pinned)
        shutil.rmtree(self.place("few"), ignore_errors=True)
        few = [os.path.dirname(self.module("few/%d.wasm" % i)) for i in range(2)][0]
        yield "build", ["build", self.module("one/f.wasm")], server.cache
        yield "prebuild", ["prebuild", few, "--jobs", "2"], server.cache
        yield "gc", ["cache", "gc", *FEW], server.cache
        yield "export", ["cache", "export", "-o", self.place("bundle.new")], server.cache
        yield "verify", ["cache", "verify"], server.cache
        yield "pin", ["cache", "pin", key], server.cache
        yield "import", ["cache", "import", self.bundle], self.other
        yield "gc of what was imported", ["cache", "gc", *FEW], self.other

    def lengths(self, server, pinned):
        """How long each takes undisturbed."""
        found = {}
        for name, words, cache in self.commands(server, pinned):
            began = time.monotonic()
            result = run(*words, "--cache", cache)
            self.assertEqual(result.returncode, 0, name + result.stderr)
            found[name] = time.monotonic() - began
        return found

    def kill_builder(self, server):
        """The server's builder, while it builds something new."""
        self.fresh += 1
        server.put("new.wasm", guests.answer("new %d" % self.fresh))
        time.sleep(self.random.random() * 0.4)
        builders = [pid for pid, line in descendants(server.process.pid).items() if "\0_builder\0" in line]
        for pid in builders:
            os.kill(pid, signal.SIGKILL)
        server.until(lambda: any("\0_builder\0" in line and pid not in builders for pid, line in
                                 descendants(server.process.pid).items()), "the builder is back")
        # A collection without grace, as is to come, takes what is built and not yet published.
        server.wait_for("/new", body=b"new %d" % self.fresh)
        return bool(builders)

    def test_what_is_killed_leaves_a_whole_cache(self):
        with Server() as server:
            for name in ("a", "b"):
                server.put(name + ".wasm", guests.answer("live " + name))
            live = [server.wait_for_state("_default/%s.wasm" % name, "live")["key"] for name in ("a", "b")]
            result = run("build", self.module("pinned.wasm"), "--cache", server.cache)
            self.assertEqual(result.returncode, 0, result.stderr)
            listed = [line.split()[0] for line in self.cache(server.cache, "list").split("\n") if line[:64].isalnum()]
            pinned = [key for key in listed if len(key) == 64 and key not in live][:1]
            self.assertEqual(len(pinned), 1)
            self.cache(server.cache, "pin", pinned[0])
            self.cache(server.cache, "export", "-o", self.bundle)
            run("init", "--cache", self.other)
            self.cache(self.other, "trust", self.cache(server.cache, "key").strip())
            keep = self.wanted(server.cache, live + pinned)
            lengths = self.lengths(server, pinned)
            self.cache(self.other, "gc", *FEW)
            ended, killed = {}, 0
            while killed < KILLS:
                for name, words, cache in self.commands(server, pinned):
                    was_killed = self.kill_command([*words, "--cache", cache], 0.9 * lengths[name])
                    ended.setdefault(name, []).append(was_killed)
                    killed += was_killed
                    self.look(name, server, keep, cache)
                killed += self.kill_builder(server)
                ended.setdefault("the server's builder", []).append(True)
                self.look("the server's builder", server, keep, server.cache)
                self.assertEqual(server.ask("/a").body, b"live a")
            self.assertEqual(self.leftovers(server.cache), [])
            print("%d kills: %s" % (killed, ", ".join("%s %d" % (name, sum(list_)) for name, list_ in ended.items())))
            # All of it still works.
            self.cache(self.other, "import", self.bundle)
            self.assertEqual(self.cache(self.other, "list").count("optimised") > 0, True)
            self.cache(server.cache, "gc", *FEW)
            self.assertEqual(self.wanted(server.cache, live + pinned), keep)

    def look(self, name, server, keep, cache):
        result = run("cache", "verify", "--cache", cache)
        self.assertEqual(result.returncode, 0, "after %s: %s%s" % (name, result.stdout, result.stderr))
        for path, digest in keep.items():
            with open(path, "rb") as stream:
                self.assertEqual(hashlib.sha256(stream.read()).hexdigest(), digest, "after %s: %s" % (name, path))

    def leftovers(self, cache):
        """What lies in tmp/ once an hour has gone by and somebody opened the cache."""
        os.system("find %s/tmp -mindepth 1 -maxdepth 1 -exec touch -h -d '2 hours ago' {} +" % cache)
        self.cache(cache, "gc")
        return os.listdir(os.path.join(cache, "tmp"))


if __name__ == "__main__":
    KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    unittest.main(argv=sys.argv[:1])
