"""kill -9 of everything that writes or reads a cache, at random points: the cache verifies after each, and nothing that
is live or pinned is lost. The points are spread over as long as each command takes. Many kills are shared out between
lanes, each with a server, caches and a repository of its own in one registry. Usage: test_cache_kills.py [KILLS]"""
import concurrent.futures
import glob
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import guests
import registry
from e2e import PROGRAM, Server

KILLS = 30
KILLS_PER_LANE, LANES_MOST = 100, 4
FEW = ("--set", "limits.cache_bytes=1", "--set", "limits.cache_grace_s=0")
PLAIN = "--plain-http"
BUILDER = "the server's builder"


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


class Tally:
    """How many were killed of what; what the lanes share."""

    def __init__(self, wanted):
        self.wanted, self.lock = wanted, threading.Lock()
        self.killed, self.ended, self.is_broken = {}, {}, False

    def add(self, name, was_killed):
        with self.lock:
            self.killed[name] = self.killed.get(name, 0) + was_killed
            self.ended[name] = self.ended.get(name, 0) + (not was_killed)

    def count(self):
        with self.lock:
            return sum(self.killed.values())

    def goes_on(self):
        return not self.is_broken and self.count() < self.wanted

    def __str__(self):
        return "%d kills: %s" % (self.count(), ", ".join("%s %d (%d ended first)" % (name, count, self.ended[name])
                                                         for name, count in sorted(self.killed.items())))


class Lane:
    """One server, its cache, another cache that imports from it and pulls from where it pushes to."""

    def __init__(self, number, folder, tally, shared, case):
        self.random, self.number, self.tally, self.case = random.Random(number), number, tally, case
        self.folder = os.path.join(folder, "lane-%d" % number)
        os.mkdir(self.folder)
        self.bundle, self.other, self.pulled = self.place("bundle"), self.place("other"), self.place("pulled")
        self.url = shared.url("lane-%d:v1" % number) if shared else None
        self.fresh, self.lengths = 0, {}

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
        self.case.assertEqual(result.returncode, 0, "%s: %s%s" % (words, result.stdout, result.stderr))
        return result.stdout

    def wanted(self, cache, keys):
        """Hashes of every file of these artifacts, by their paths in the cache."""
        found = {}
        for key in keys:
            paths = glob.glob(os.path.join(cache, "hot", key[:2], key, "*"))
            paths.append(os.path.join(cache, "store", key[:2], key + ".tfa"))
            for path in paths:
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, cache)] = hashlib.sha256(stream.read()).hexdigest()
        self.case.assertGreaterEqual(len(found), 3 * len(keys))
        return found

    def commands(self, server):
        """Name, words, and the cache that it works on."""
        shutil.rmtree(self.place("few"), ignore_errors=True)
        few = [os.path.dirname(self.module("few/%d.wasm" % i)) for i in range(2)][0]
        yield "build", ["build", self.module("one/f.wasm")], server.cache
        yield "prebuild", ["prebuild", few, "--jobs", "2"], server.cache
        if self.url:
            yield "push", ["cache", "push", self.url, PLAIN], server.cache
        yield "gc", ["cache", "gc", *FEW], server.cache
        yield "export", ["cache", "export", "-o", self.place("bundle.new")], server.cache
        yield "verify", ["cache", "verify"], server.cache
        yield "pin", ["cache", "pin", self.random.choice(self.pinned)], server.cache
        yield "import", ["cache", "import", self.bundle], self.other
        yield "gc of what was imported", ["cache", "gc", *FEW], self.other
        if self.url:
            yield "pull", ["cache", "pull", self.url, PLAIN], self.pulled
            yield "gc of what was pulled", ["cache", "gc", *FEW], self.pulled

    def measure(self, server):
        """How long each takes undisturbed."""
        for name, words, cache in self.commands(server):
            began = time.monotonic()
            result = run(*words, "--cache", cache)
            self.case.assertEqual(result.returncode, 0, name + result.stderr)
            self.lengths[name] = time.monotonic() - began

    def kill_command(self, name, words):
        """Somewhere within its length, which is learnt anew from those that end before; its children end with it."""
        began, length = time.monotonic(), self.lengths[name]
        process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL)
        try:
            process.wait(self.random.random() * length)
        except subprocess.TimeoutExpired:
            process.kill()
        took, was_killed = time.monotonic() - began, process.wait(30) == -signal.SIGKILL
        if not was_killed:
            self.case.assertEqual(process.returncode, 0, "%s failed by itself" % name)
            self.lengths[name] = min(length, took)
        elif took > 0.9 * length:
            self.lengths[name] = 1.1 * length
        self.tally.add(name, was_killed)

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
        self.tally.add(BUILDER, bool(builders))

    def prepare(self, server):
        for name in ("a", "b"):
            server.put(name + ".wasm", guests.answer("live " + name))
        live = [server.wait_for_state("_default/%s.wasm" % name, "live")["key"] for name in ("a", "b")]
        result = run("build", self.module("pinned.wasm"), "--cache", server.cache)
        self.case.assertEqual(result.returncode, 0, result.stderr)
        listed = [line.split()[0] for line in self.cache(server.cache, "list").split("\n") if line[:64].isalnum()]
        self.pinned = [key for key in listed if len(key) == 64 and key not in live][:1]
        self.case.assertEqual(len(self.pinned), 1)
        self.cache(server.cache, "pin", self.pinned[0])
        self.cache(server.cache, "export", "-o", self.bundle)
        for cache in (self.other, self.pulled):
            run("init", "--cache", cache)
            self.cache(cache, "trust", self.cache(server.cache, "key").strip())
        self.keys = live + self.pinned
        self.keep = self.wanted(server.cache, self.keys)
        self.measure(server)
        self.cache(self.other, "gc", *FEW)
        self.cache(self.pulled, "gc", *FEW)

    def look(self, name, server, cache):
        result = run("cache", "verify", "--cache", cache)
        self.case.assertEqual(result.returncode, 0, "after %s: %s%s" % (name, result.stdout, result.stderr))
        self.case.assertEqual(self.wanted(server.cache, self.keys), self.keep, "after " + name)
        if name == "push":
            # What the tag leads to is as the last push that ended left it, or whole and newer.
            self.cache(self.pulled, "pull", self.url, PLAIN)
            self.case.assertEqual(self.wanted(self.pulled, self.keys), self.keep, "pulled after " + name)
            self.cache(self.pulled, "verify")
            self.cache(self.pulled, "gc", *FEW)

    def leftovers(self, cache):
        """What lies in tmp/ once an hour has gone by and somebody opened the cache."""
        os.system("find %s/tmp -mindepth 1 -maxdepth 1 -exec touch -h -d '2 hours ago' {} +" % cache)
        self.cache(cache, "gc")
        return os.listdir(os.path.join(cache, "tmp"))

    def finish(self, server):
        """All of it still works."""
        for cache in (server.cache, self.other, self.pulled):
            self.case.assertEqual(self.leftovers(cache), [])
        self.cache(self.other, "import", self.bundle)
        self.case.assertGreater(self.cache(self.other, "list").count("optimised"), 0)
        if self.url:
            self.cache(server.cache, "push", self.url, PLAIN)
            self.cache(self.pulled, "pull", self.url, PLAIN)
            self.case.assertEqual(self.wanted(self.pulled, self.keys), self.keep)
        self.cache(server.cache, "gc", *FEW)
        self.case.assertEqual(self.wanted(server.cache, self.keys), self.keep)

    def run(self):
        try:
            with Server() as server:
                self.prepare(server)
                while self.tally.goes_on():
                    for name, words, cache in self.commands(server):
                        self.kill_command(name, [*words, "--cache", cache])
                        self.look(name, server, cache)
                    self.kill_builder(server)
                    self.look(BUILDER, server, server.cache)
                    self.case.assertEqual(server.ask("/a").body, b"live a")
                self.finish(server)
        except BaseException:
            self.tally.is_broken = True
            raise


class Kills(unittest.TestCase):
    def test_what_is_killed_leaves_a_whole_cache(self):
        folder, shared = tempfile.mkdtemp(prefix="tf-e2e-kills-"), None
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        if registry.made(registry.Registry):
            shared = registry.Registry()
            self.addCleanup(shared.close)
            shared.start()
        began, tally = time.monotonic(), Tally(KILLS)
        lanes = [Lane(i, folder, tally, shared, self) for i in range(max(1, min(LANES_MOST, KILLS // KILLS_PER_LANE)))]
        with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
            runs = [pool.submit(lane.run) for lane in lanes]
            for ended in runs:
                ended.result()
        print("%s; %.0f s, lanes: %d" % (tally, time.monotonic() - began, len(lanes)))
        self.assertTrue(shared or KILLS < KILLS_PER_LANE, "many kills need %s" % registry.Registry.PROGRAM)


if __name__ == "__main__":
    KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    unittest.main(argv=sys.argv[:1])
