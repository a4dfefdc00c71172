"""Folders that others fill: FUSE without events, rsync, Syncthing; what lies beside real files; and the reports that
the server writes back.

    test_sync.py              all of it
    test_sync.py many SITES [syncthing]   that many sites of ten functions each at once, by rsync (or Syncthing), with
                                          figures
"""
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import e2e
import guests
import syncing


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data)


class Fuse(e2e.Case):
    """A site whose folder is a FUSE mount, changed behind its back, beside one on a plain file system."""

    @classmethod
    def prepare(cls, server):
        cls.backing = os.path.join(server.folder, "backing")
        cls.mount = syncing.bindfs(cls.backing, os.path.join(server.root, "fuse.test"))
        server.put("plain.wasm", guests.answer("plain"))

    @classmethod
    def tearDownClass(cls):
        if cls.mount is not None:
            cls.mount.close()
        super().tearDownClass()

    def setUp(self):
        if self.mount is None:
            self.skipTest("this machine gives no FUSE mount (bindfs, /dev/fuse)")

    def live_s(self, name, answer):
        began = time.monotonic()
        write(os.path.join(self.backing, name), guests.answer(answer))
        self.server.wait_for("/" + name, body=answer.encode(), host="fuse.test")
        return time.monotonic() - began

    def test_changes_behind_its_back(self):
        seconds = [self.live_s("f.wasm", "version %d" % number) for number in range(4)]
        seconds.append(self.live_s("deep/er/f.wasm", "in folders that are new"))
        print("\nchanged behind a FUSE mount, live after %s s" % " ".join("%.2f" % one for one in sorted(seconds)),
              file=sys.stderr)
        os.rename(os.path.join(self.backing, "deep"), os.path.join(self.backing, "moved"))
        self.server.wait_for("/moved/er/f.wasm", body=b"in folders that are new", host="fuse.test")
        self.server.wait_for("/deep/er/f.wasm", 404, host="fuse.test")
        os.unlink(os.path.join(self.backing, "f.wasm"))
        self.server.wait_for("/f.wasm", 404, host="fuse.test")
        log = self.server.log_text()
        self.assertIn("fuse.test: on FUSE, which does not tell of changes made elsewhere", log)
        self.assertEqual(log.count("which does not tell"), 1)

    def test_a_mount_that_dies_takes_nothing_away(self):
        self.live_s("stays.wasm", "stays")
        self.mount.process.kill()
        self.mount.process.wait()
        self.server.until(lambda: "what is known of it stays" in self.server.log_text(), "it is said")
        self.assertEqual(self.server.ask("/stays.wasm", host="fuse.test").body, b"stays")
        self.mount.close()
        type(self).mount = syncing.bindfs(self.backing, os.path.join(self.server.root, "fuse.test"))
        self.live_s("stays.wasm", "is back")


class Synced(e2e.Case):
    def test_rsync(self):
        source = os.path.join(self.server.folder, "source")
        for number in range(3):
            # Of another length each time: rsync looks at size and second only.
            write(os.path.join(source, "a/f.wasm"), guests.answer("version " + "1" * number))
            subprocess.run(["rsync", "-a", "--delete", source + "/", os.path.join(self.server.root, "rsync.test")],
                           check=True)
            self.server.wait_for("/a/f.wasm", body=b"version " + b"1" * number, host="rsync.test")
        self.assertEqual([name for name in self.server.functions() if name.startswith("rsync.test")],
                         ["rsync.test/a/f.wasm"])

    def test_syncthing(self):
        mine = os.path.join(self.server.root, "sync.test")
        theirs = os.path.join(self.server.folder, "theirs")
        peers = syncing.syncthing_pair(self.server.folder, mine, theirs)
        if peers is None:
            self.skipTest("Syncthing is not installed")
        try:
            for number in range(3):
                write(os.path.join(theirs, "f.wasm"), guests.answer("version %d" % number))
                self.server.wait_for("/f.wasm", body=b"version %d" % number, host="sync.test")
            write(os.path.join(theirs, "f.sync-conflict-20261122-120000-ABCDEFG.wasm"), guests.answer("lost"))
            write(os.path.join(theirs, "last.wasm"), guests.answer("last"))
            self.server.wait_for("/last.wasm", body=b"last", host="sync.test")
            self.assertEqual(sorted(name for name in self.server.functions() if name.startswith("sync.test")),
                             ["sync.test/f.wasm", "sync.test/last.wasm"])
            os.unlink(os.path.join(theirs, "f.wasm"))
            self.server.wait_for("/f.wasm", 404, host="sync.test")
        finally:
            for peer in peers:
                peer.close()

    def test_names_that_differ_in_case(self):
        self.server.put("Case.wasm", guests.answer("upper"))
        self.server.put("case.wasm", guests.answer("lower"))
        self.server.wait_for("/Case.wasm", body=b"upper")
        self.server.wait_for("/case.wasm", body=b"lower")

    def test_a_site_that_goes_and_returns(self):
        self.server.put("f.wasm", guests.answer("here"), site="goes.test")
        self.server.wait_for("/f.wasm", body=b"here", host="goes.test")
        os.rename(os.path.join(self.server.root, "goes.test"), os.path.join(self.server.folder, "away"))
        self.server.wait_for("/f.wasm", 404, host="goes.test")
        os.rename(os.path.join(self.server.folder, "away"), os.path.join(self.server.root, "goes.test"))
        self.server.wait_for("/f.wasm", body=b"here", host="goes.test")

    def test_what_may_not_be_read(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        self.server.put("f.wasm", guests.answer("first"), site="closed.test")
        self.server.wait_for("/f.wasm", body=b"first", host="closed.test")
        os.chmod(self.server.path("f.wasm", "closed.test"), 0)
        self.server.until(lambda: "cannot read" in self.server.log_text(), "it is said")
        self.assertEqual(self.server.ask("/f.wasm", host="closed.test").body, b"first")


class Reports(e2e.Case):
    config = "watcher:\n  reports: yes\n"

    def report(self, name, text):
        """The report, once it has that text."""
        path = self.server.path(name + ".txt")

        def there():
            if not os.path.exists(path):
                return None
            with open(path, encoding="utf-8") as stream:
                found = stream.read()
            return found if text in found else None

        return self.server.until(there, "%s.txt has %r" % (name, text))

    def test_live_refused_and_gone(self):
        self.server.put("r.wasm", guests.answer("one"))
        first = self.report("r.wasm", "state:   live")
        self.assertIn("version: ", first)
        self.server.put("r.wasm", b"\0asm\1\0\0\0nonsense")
        second = self.report("r.wasm", "The newest upload is not live; the version before it is:")
        self.assertIn("error:   ", second)
        self.server.put("r.wasm", guests.answer("two"))
        self.server.wait_for("/r.wasm", body=b"two")
        status = self.server.until(lambda: [one for name, one in self.server.functions().items()
                                            if name == "_default/r.wasm" and one["error"] is None], "it is no error")
        third = self.report("r.wasm", status[0]["version"])
        self.assertNotIn("error:", third)
        import_of_nothing = guests.module('(module (import "env" "no_such" (func)) (memory 1) (func (export "run")))')
        self.server.put("never.wasm", import_of_nothing)
        self.assertIn('"env"."no_such"', self.report("never.wasm", "Nothing is live:"))
        # No report makes a build, and no report is served.
        for path in ("/r.wasm.txt", "/R.WASM.TXT", "/r.wasm%2etxt", "/r.wasm.tx%74", "/never.wasm.txt"):
            self.assert_status(self.server.ask(path), 404)
        self.assertEqual(sorted(self.server.functions()), ["_default/never.wasm", "_default/r.wasm"])
        os.unlink(self.server.path("never.wasm"))
        self.server.until(lambda: not os.path.exists(self.server.path("never.wasm.txt")), "its report is gone, too")

    def test_what_is_not_ours(self):
        mine = self.server.path("mine.wasm.txt")
        write(mine, b"my own notes\n")
        secret = os.path.join(self.server.folder, "secret")
        write(secret, b"not to be touched\n")
        os.symlink(secret, self.server.path("link.wasm.txt"))
        for name in ("mine.wasm", "link.wasm"):
            self.server.put(name, guests.answer(name))
            self.server.wait_for("/" + name, body=name.encode())
        self.server.until(lambda: "not the server's" in self.server.log_text(), "it is said")
        for path, text in ((mine, b"my own notes\n"), (secret, b"not to be touched\n")):
            with open(path, "rb") as stream:
                self.assertEqual(stream.read(), text)


def by_rsync(everything, server):
    subprocess.run(["rsync", "-a", everything + "/", server.root], check=True)


def by_syncthing(everything, server, shared):
    """As one drop into a peer's folder; returns when all is there on the server's side."""
    names = os.listdir(everything)
    wanted = sum(len(files) for _, _, files in os.walk(everything))
    for name in names:
        os.rename(os.path.join(everything, name), os.path.join(shared, name))

    def there():
        time.sleep(0.5)  # to look costs, too
        return sum(name.endswith(".wasm") for _, _, files in os.walk(server.root) for name in files) >= wanted
    server.until(there, "all were synced", 900)


def many(sites, way):
    """All at once into a server that runs; ten modules, the same in each site."""
    with tempfile.TemporaryDirectory(prefix="tf-many-") as folder, e2e.Server(2) as server, \
            contextlib.ExitStack() as ends:
        for number in range(10):
            write(os.path.join(folder, "first", "f%d.wasm" % number), guests.answer("function %d" % number))
        for number in range(sites):
            shutil.copytree(os.path.join(folder, "first"), os.path.join(folder, "all", "site%d.test" % number))
        peers, shared = [], os.path.join(folder, "shared")
        if way == "syncthing":
            peers = syncing.syncthing_pair(folder, shared, server.root)
        for peer in peers:
            ends.callback(peer.close)
        began = time.monotonic()
        if way == "syncthing":
            by_syncthing(os.path.join(folder, "all"), server, shared)
        else:
            by_rsync(os.path.join(folder, "all"), server)
        copied = time.monotonic()
        live = lambda: sum(one["state"] == "live" for one in server.functions().values())
        server.until(lambda: live() >= sites * 10, "all are live", 600)
        print("%d sites of 10 functions: copied in %.1f s, all live %.1f s after that" %
              (sites, copied - began, time.monotonic() - copied))
        for number in range(0, sites, 7):
            answer = server.ask("/f%d.wasm" % (number % 10), host="site%d.test" % number)
            assert answer.body == b"function %d" % (number % 10), answer
        for pid in [server.process.pid] + e2e.descendants(server.process.pid):
            with open("/proc/%d/status" % pid, encoding="utf-8") as stream:
                memory = [line.split()[1] for line in stream if line.startswith("VmHWM")]
            with open("/proc/%d/cmdline" % pid, "rb") as stream:
                name = stream.read().split(b"\0")[1].decode()
            print("%-10s %6.1f MB at most" % (name, int(memory[0]) / 1024))
        for peer in peers:
            peer.close()
        print("compilers%s: %.0f s of CPU" % (" and Syncthing" if peers else "",
                                              resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime))


if __name__ == "__main__":
    if sys.argv[1:2] == ["many"]:
        many(int(sys.argv[2]), (sys.argv[3:] or ["rsync"])[0])
    else:
        e2e.main()
