"""Everything that may happen to a folder while it is watched. `test_uploads.py long` drops 1,000 different modules."""
import json
import os
import shutil
import subprocess
import sys
import time

import e2e
import guests

LONG = len(sys.argv) > 1 and sys.argv[-1] == "long" and bool(sys.argv.pop())


class Uploads(e2e.Case):
    def state(self, name):
        return (self.server.functions().get("_default/" + name) or {}).get("state")

    def test_half_copied(self):
        """A slow copy, whose beginning is a valid module of its own, in steps longer than the settle time."""
        small = guests.answer("small")
        # A custom section after the module: cut before it, what is left is a whole module.
        tail = b"\x00" + bytes([0xE4, 0x00]) + b"\x04tail" + b"t" * 95
        body = guests.answer("whole", salt="half")
        path = self.server.path("half.wasm")
        with open(path, "wb", buffering=0) as stream:
            for chunk in (body[:8], body[8:20], body[20:], tail[:50], tail[50:]):
                stream.write(chunk)
                time.sleep(0.1)
                self.assertIn(self.server.ask("/half.wasm").status, (404, 503))
        self.server.wait_for("/half.wasm", body=b"whole")
        # Overwritten in place, slowly: the old one answers until the new one is whole.
        with open(path, "r+b", buffering=0) as stream:
            stream.truncate(0)
            for chunk in (small[:8], small[8:30], small[30:]):
                time.sleep(0.1)
                stream.write(chunk)
                self.assertEqual(self.server.ask("/half.wasm").body, b"whole")
        self.server.wait_for("/half.wasm", body=b"small")

    def test_what_is_no_module(self):
        good = guests.answer("x")
        junk = {"truncated": good[:-3], "empty": b"", "text": b"#!/bin/sh\necho hello\n", "magic-only": good[:4],
                "version-2": good[:4] + b"\2\0\0\0" + good[8:], "header-only": good[:8], "elf": b"\x7fELF" + bytes(100),
                "trailing": good + b"\xff", "zeros": bytes(5000)}
        for name, data in junk.items():
            self.server.put("junk/%s.wasm" % name, data)
        for name in junk:
            with self.subTest(name):
                entry = self.server.wait_for_state("_default/junk/%s.wasm" % name, "refused")
                self.assertTrue(entry["error"]["text"])
                self.server.wait_for("/junk/%s.wasm" % name, 502)

    def test_100_megabytes(self):
        with open(self.server.path("huge.wasm"), "wb") as stream:
            stream.write(guests.answer("x"))
            stream.truncate(100 << 20)
        entry = self.server.wait_for_state("_default/huge.wasm", "refused")
        self.assertIn("module_bytes", entry["error"]["text"])
        self.server.wait_for("/huge.wasm", 502)

    def test_vanishes_while_it_is_built(self):
        self.server.put("gone.wasm", guests.slow_to_build(salt=1))
        self.server.until(lambda: self.state("gone.wasm") == "building", "the build began")
        os.unlink(self.server.path("gone.wasm"))
        self.server.wait_for("/gone.wasm", 404)
        time.sleep(2)
        self.assert_status(self.server.ask("/gone.wasm"), 404)
        self.assertIsNone(self.state("gone.wasm"))

    def test_deleted_and_back(self):
        self.server.put("back.wasm", guests.answer("here"))
        self.server.wait_for("/back.wasm", body=b"here")
        os.unlink(self.server.path("back.wasm"))
        self.server.wait_for("/back.wasm", 404)
        self.server.overwrite("back.wasm", guests.answer("again"))
        self.server.wait_for("/back.wasm", body=b"again")

    def test_folders_move(self):
        server = self.server
        server.put("old/a/fn.wasm", guests.answer("moved"))
        server.put("old/plain.txt", b"plain")
        server.wait_for("/old/a/fn.wasm", body=b"moved")
        os.rename(server.path("old"), os.path.join(server.root, "_default", "new"))
        server.wait_for("/new/a/fn.wasm", body=b"moved")
        server.wait_for("/old/a/fn.wasm", 404)
        self.assertEqual(server.ask("/new/plain.txt").body, b"plain")
        # In from outside the root, with content; and out again.
        outside = os.path.join(server.folder, "outside")
        os.makedirs(os.path.join(outside, "deep"))
        with open(os.path.join(outside, "deep", "fn.wasm"), "wb") as stream:
            stream.write(guests.answer("from outside"))
        os.rename(outside, os.path.join(server.root, "_default", "arrived"))
        server.wait_for("/arrived/deep/fn.wasm", body=b"from outside")
        os.rename(os.path.join(server.root, "_default", "arrived"), outside)
        server.wait_for("/arrived/deep/fn.wasm", 404)
        # What happens there now is nobody's business, and what is written into the moved folder is seen.
        with open(os.path.join(outside, "deep", "late.wasm"), "wb") as stream:
            stream.write(guests.answer("late"))
        server.put("new/a/later.wasm", guests.answer("later"))
        server.wait_for("/new/a/later.wasm", body=b"later")
        self.assert_status(server.ask("/arrived/deep/late.wasm"), 404)

    def test_a_whole_tree_at_once_and_away(self):
        tree = os.path.join(self.server.folder, "tree")
        for index in range(20):
            folder = os.path.join(tree, "a%d" % (index % 4), "b%d" % index)
            os.makedirs(folder)
            with open(os.path.join(folder, "fn.wasm"), "wb") as stream:
                stream.write(guests.answer("tree"))
        shutil.copytree(tree, os.path.join(self.server.root, "_default", "tree"))
        for index in range(20):
            self.server.wait_for("/tree/a%d/b%d/fn" % (index % 4, index), body=b"tree")
        shutil.rmtree(os.path.join(self.server.root, "_default", "tree"))
        for index in range(20):
            self.server.wait_for("/tree/a%d/b%d/fn.wasm" % (index % 4, index), 404)

    def test_new_sites(self):
        self.server.put("fn.wasm", guests.answer("new site"), site="new.example")
        self.server.wait_for("/fn.wasm", body=b"new site", host="new.example")
        os.rename(os.path.join(self.server.root, "new.example"), os.path.join(self.server.root, "newer.example"))
        self.server.wait_for("/fn.wasm", body=b"new site", host="newer.example")
        self.server.wait_for("/fn.wasm", 404, host="new.example")

    def test_temporary_names(self):
        server = self.server
        for name in (".temp.wasm.Xy12Zz", ".syncthing.temp.wasm.tmp", "~syncthing~temp.wasm.tmp", "temp.wasm~",
                     ".temp.wasm.swp", "temp.wasm.part", "#temp.wasm#", ".temp.wasm", ".stversions/temp.wasm",
                     ".git/temp.wasm"):
            server.put(name, guests.answer("temporary"))
        server.put("real.wasm", guests.answer("real"))
        server.wait_for("/real.wasm", body=b"real")
        self.assertEqual([name for name in server.functions() if "temp" in name], [])
        os.rename(server.path(".temp.wasm.Xy12Zz"), server.path("synced.wasm"))
        server.wait_for("/synced.wasm", body=b"temporary")

    def test_what_is_no_regular_file(self):
        server = self.server
        os.mkfifo(server.path("fifo.wasm"))
        os.symlink("/dev/zero", server.path("zero.wasm"))
        os.symlink("fifo.wasm", server.path("link.wasm"))
        os.makedirs(server.path("folder.wasm"))
        server.put("after.wasm", guests.answer("after"))
        server.wait_for("/after.wasm", body=b"after")
        for name in ("fifo", "zero", "link", "folder"):
            self.assertIn(server.ask("/%s.wasm" % name).status, (404, 502), name)

    def test_status_command(self):
        server = self.server
        server.put("listed.wasm", guests.answer("listed"))
        server.put("unlisted.wasm", b"junk")
        server.wait_for_state("_default/listed.wasm", "live")
        server.wait_for_state("_default/unlisted.wasm", "refused")
        result = subprocess.run([e2e.PROGRAM, "status", "--root", server.root, "--cache", server.cache],
                                capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.split("\n")
        self.assertTrue(any("listed.wasm" in line and "live" in line for line in lines), result.stdout)
        self.assertTrue(any("unlisted.wasm" in line and "refused" in line for line in lines), result.stdout)

    def test_hostile_names(self):
        """A name is data: in the log, in status.json, in the route table."""
        server = self.server
        names = ["new\nline.wasm", "tab\tname.wasm", 'quote".wasm', "\u00fcn\u00efcode.wasm", "per%63ent.wasm",
                 "sp ace.wasm", "; rm -rf .wasm", "-rf.wasm", "$(id).wasm", "a" * 240 + ".wasm"]
        for name in names:
            server.put(name, guests.answer("named"))
        with open(os.path.join(os.fsencode(server.root), b"_default", b"latin\xff.wasm"), "wb") as stream:
            stream.write(guests.answer("named"))
        server.put("after-names.wasm", guests.answer("after"))
        server.wait_for("/after-names.wasm", body=b"after")
        for name, path in (('quote".wasm', "/quote%22.wasm"), ("per%63ent.wasm", "/per%2563ent.wasm"),
                           ("sp ace.wasm", "/sp%20ace.wasm"), ("; rm -rf .wasm", "/;%20rm%20-rf%20.wasm"),
                           ("-rf.wasm", "/-rf.wasm"), ("$(id).wasm", "/$(id).wasm"),
                           ("\u00fc", "/%C3%BCn%C3%AFcode.wasm")):
            with self.subTest(name):
                self.assertEqual(server.wait_for(path, seconds=20).body, b"named")
        self.assertIn("_default/after-names.wasm", server.functions())


class Many(e2e.Case):
    def test_a_thousand_files_at_once(self):
        versions = 1000 if LONG else 10
        for index in range(1000):
            self.server.put("many/d%d/f%d.wasm" % (index % 7, index), guests.answer("number %d" % (index % versions)))
        patience = 1500 if LONG else 240
        self.server.until(lambda: sum(entry["state"] == "live" for entry in self.server.functions().values()) == 1000,
                          "all are live", patience)
        for index in list(range(0, 1000, 13)) + [999]:
            path = "/many/d%d/f%d.wasm" % (index % 7, index)
            self.server.wait_for(path, body=b"number %d" % (index % versions))
        shutil.rmtree(os.path.join(self.server.root, "_default", "many"))
        self.server.until(lambda: not self.server.functions(), "all are gone")
        self.server.wait_for("/many/d0/f0.wasm", 404)
        roots = os.path.join(self.server.cache, "roots")
        with open(os.path.join(roots, os.listdir(roots)[0], "status.json"), encoding="utf-8") as stream:
            self.assertEqual(json.load(stream)["functions"], [])


if __name__ == "__main__":
    e2e.main()
