"""Caches from the outside: shipping to a server that cannot compile, revoking, cleaning up and healing while serving.
Usage: test_caches.py"""
import glob
import os
import shutil
import sys
import tempfile
import unittest

import guests
from caches import cache, hide_compilers_and_network, prebuilt, run, tree
from e2e import Server, in_child


class Shipping(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tf-e2e-caches-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bundle = os.path.join(self.folder, "bundle")
        self.modules = {"f%d.wasm" % i: guests.answer("this is %d" % i) for i in range(3)}
        self.other = guests.answer("nobody built this")
        self.built, self.key = prebuilt(self.folder, self.modules)
        cache(self.built, "export", "-o", self.bundle)

    def test_a_server_that_cannot_compile(self):
        """In a child process, as its namespaces are its own."""
        if os.geteuid() != 0:
            self.skipTest("needs root to hide compilers and network")
        in_child(self, lambda: hide_compilers_and_network() and self.serve_without_compiler())

    def serve_without_compiler(self):
        self.assertNotEqual(run("build", self.folder + "/source/f0.wasm", "--cache", self.folder + "/n",
                                check=False).returncode, 0)
        with Server(config="watcher: {builds: 'no', rescan_s: 1}\n") as server:
            cache(server.cache, "trust", self.key, "build machine")
            for name, data in self.modules.items():
                server.put(name, data)
            server.put("other.wasm", self.other)
            server.wait_for("/other", status=502)
            self.assertIn("does not build", server.wait_for_state("_default/other.wasm", "failed")["error"]["text"])
            cache(server.cache, "import", self.bundle)
            for i in range(3):
                self.assertEqual(server.wait_for("/f%d" % i).body, b"this is %d" % i)
            for part in ("hot", "store", "index"):
                self.assertEqual(tree(os.path.join(self.built, part)), tree(os.path.join(server.cache, part)))
            cache(server.cache, "verify")

    def test_nothing_is_taken_from_strangers(self):
        other = os.path.join(self.folder, "other")
        run("init", "--cache", other)
        before = tree(other)
        result = cache(other, "import", self.bundle, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not trusted", result.stderr)
        cache(other, "trust", self.key)
        with open(self.bundle, "r+b") as stream:
            stream.truncate(os.path.getsize(self.bundle) - 1)
        self.assertEqual(cache(other, "import", self.bundle, check=False).returncode, 1)
        del before["trust/public/policy"]
        after = tree(other)
        del after["trust/public/policy"]
        self.assertEqual(before, after)

    def test_lists_and_verdicts(self):
        listed = cache(self.built, "list").stdout
        self.assertEqual(listed.count("x86-64-v2 fast optimised"), 3)
        self.assertIn("3 artifacts", cache(self.built, "verify").stdout)
        victim = glob.glob(os.path.join(self.built, "hot/*/*/module.so"))[0]
        with open(victim, "r+b") as stream:
            stream.write(b"\0")
        result = cache(self.built, "verify", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("wrong: " + os.path.relpath(os.path.dirname(victim), self.built), result.stdout)
        for wrong in (["cache"], ["cache", "frobnicate"], ["cache", "pin"], ["cache", "import"], ["cache", "export"],
                      ["cache", "trust", "12"], ["cache", "pin", "12"]):
            self.assertEqual(run(*wrong, "--cache", self.built, check=False).returncode, 2, wrong)


class WhileServing(unittest.TestCase):
    def test_what_is_live_survives_all(self):
        with Server(config="watcher: {rescan_s: 1}\n") as server:
            server.put("live.wasm", guests.answer("live"))
            server.wait_for("/live", body=b"live")
            server.put("gone.wasm", guests.answer("gone"))
            server.wait_for("/gone", body=b"gone")
            key = server.wait_for_state("_default/live.wasm", "live")["key"]
            gone = server.wait_for_state("_default/gone.wasm", "live")["key"]
            os.unlink(server.path("gone.wasm"))
            server.wait_for("/gone", status=404)
            strict = ("--set", "limits.cache_bytes=1", "--set", "limits.cache_grace_s=0")

            def is_collected():
                cache(server.cache, "gc", *strict)
                listed = cache(server.cache, "list").stdout
                self.assertIn(key, listed)
                return gone not in listed

            # Until the routes that named it are removed, an artifact is live.
            server.until(is_collected, "the unused artifact goes")
            self.assertEqual(server.ask("/live").body, b"live")
            # What vanishes from hot/ comes back from the store; what vanishes from both is built again.
            hot = os.path.join(server.cache, "hot", key[:2], key)
            shutil.rmtree(hot)
            server.until(lambda: os.path.exists(hot + "/module.so"), "the artifact is restored")
            os.unlink(os.path.join(server.cache, "store", key[:2], key + ".tfa"))
            shutil.rmtree(hot)
            server.until(lambda: os.path.exists(hot + "/module.so"), "the artifact is built again")
            self.assertEqual(server.ask("/live").body, b"live")
            cache(server.cache, "verify")

    def test_what_is_revoked_ends(self):
        with Server(config="watcher: {rescan_s: 1}\n") as server:
            server.put("bad.wasm", guests.answer("bad"))
            server.put("good.wasm", guests.answer("good"))
            server.wait_for("/bad", body=b"bad")
            server.wait_for("/good", body=b"good")
            cache(server.cache, "revoke", server.wait_for_state("_default/bad.wasm", "live")["key"])
            server.wait_for("/bad", status=502)
            self.assertEqual(server.wait_for_state("_default/bad.wasm", "failed")["error"]["code"], "trust")
            self.assertEqual(server.ask("/good").body, b"good")

    def test_what_was_altered_is_not_run_and_made_anew(self):
        with Server(config="watcher: {rescan_s: 1}\n") as server:
            server.put("f.wasm", guests.answer("first"))
            server.wait_for_state("_default/f.wasm", "live")
            key = server.wait_for_state("_default/f.wasm", "live")["key"]
            path = os.path.join(server.cache, "hot", key[:2], key, "module.so")
            with open(path, "r+b") as stream:
                stream.seek(os.path.getsize(path) // 2)
                stream.write(b"\xcc" * 16)
            self.assertEqual(server.ask("/f").status, 502)
            server.until(lambda: "does not match its hash" in server.log_text(), "the log says why")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
