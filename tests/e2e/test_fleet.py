"""Servers that share a registry: what one compiles, the others do not. Usage: test_fleet.py"""
import glob
import hashlib
import os
import socket
import sys
import unittest

import guests
import registry
from caches import cache, hide_compilers_and_network, run, tree
from e2e import Server, in_child
from test_registry import Case


class Fleet(Case):
    """Servers that share a registry."""

    def server(self, port, more="", push="no", builds="yes"):
        server = Server(config="registry: {address: 'oci://127.0.0.1:%d/fleet', plain_http: 'yes', push: '%s'%s}\n"
                               "watcher: {rescan_s: 1, builds: '%s'}\ntoolchain: {tiers: optimised}\n"
                               % (port, push, more, builds))
        self.addCleanup(server.close)
        run("init", "--cache", server.cache)
        return server

    @staticmethod
    def key_of(server):
        return cache(server.cache, "key").stdout.strip()

    def signers(self, server):
        """Who signed what the server has."""
        found = set()
        for path in glob.glob(server.cache + "/hot/*/*/manifest.sig"):
            with open(path, "rb") as stream:
                found.add(stream.read()[8:40].hex())
        return found

    def has_tag(self, module, prefix="s-"):
        name = prefix + hashlib.sha256(module).hexdigest()
        tags = self.real.folder + "/data/docker/registry/v2/repositories/fleet/_manifests/tags"
        return bool(glob.glob("%s/%s*/current/link" % (tags, name)))

    def test_the_second_one_does_not_compile(self):
        module = guests.answer("compiled once")
        first = self.server(self.real.port, push="yes").start()
        first.put("f.wasm", module)
        first.wait_for("/f", body=b"compiled once")
        first.until(lambda: self.has_tag(module) and self.has_tag(module, "p-"), "the registry has it")
        front = self.front()
        second = self.server(front.port, push="yes")
        cache(second.cache, "trust", self.key_of(first))
        second.start()
        second.put("f.wasm", module)
        second.put("g.wasm", module)
        second.put("f.wasm", module, site="b.example")
        for path, host in (("/f", "localhost"), ("/g", "localhost"), ("/f", "b.example")):
            second.wait_for(path, body=b"compiled once", host=host)
        self.assertEqual(self.signers(second), {self.key_of(first)})
        self.assertEqual(front.count("GET", "/blobs/"), 1)
        self.assertEqual(front.count("PUT", ""), 0)
        self.assertEqual(tree(first.cache + "/hot"), tree(second.cache + "/hot"))
        cache(second.cache, "verify")
        # What nobody has is compiled, and sent.
        other = guests.answer("another")
        second.put("other.wasm", other)
        second.wait_for("/other", body=b"another")
        second.until(lambda: self.has_tag(other), "the registry has it")

    def test_one_without_a_compiler(self):
        """In a child process, as its namespaces are its own."""
        if os.geteuid() != 0:
            self.skipTest("needs root to hide compilers and network")
        module, unknown = guests.answer("compiled elsewhere"), guests.answer("nobody compiled this")
        with self.server(self.real.port, push="yes") as first:
            first.put("f.wasm", module)
            first.wait_for("/f", body=b"compiled elsewhere")
            first.until(lambda: self.has_tag(module, "p-"), "the registry has it")
            key = self.key_of(first)
        self.real.kill()
        self.addCleanup(self.real.start)
        in_child(self, lambda: hide_compilers_and_network() and self.serve_what_comes(module, unknown, key))

    def serve_what_comes(self, module, unknown, key):
        self.real.start()
        with self.server(self.real.port, builds="no") as server:
            cache(server.cache, "trust", key)
            server.put("f.wasm", module)
            server.put("unknown.wasm", unknown)
            server.wait_for("/f", body=b"compiled elsewhere")
            server.wait_for("/unknown", status=502)

    def test_strangers_compile_for_themselves(self):
        module = guests.answer("not trusted")
        first = self.server(self.real.port, push="yes").start()
        first.put("f.wasm", module)
        first.until(lambda: self.has_tag(module), "the registry has it")
        second = self.server(self.real.port).start()
        second.put("f.wasm", module)
        second.wait_for("/f", body=b"not trusted")
        self.assertEqual(self.signers(second), {self.key_of(second)})
        self.assertIn("not trusted", second.log_text())

    def test_a_dead_registry(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            server = self.server(closed.getsockname()[1], push="yes").start()
            for i in range(3):
                server.put("f%d.wasm" % i, guests.answer("f%d" % i))
            for i in range(3):
                server.wait_for("/f%d" % i, body=b"f%d" % i)
            self.assertIn("terrafirma: registry: asked for", server.log_text())

    def test_a_registry_that_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            server = self.server(silent.getsockname()[1], ", wait_ms: 300").start()
            server.put("f.wasm", guests.answer("built here"))
            server.wait_for("/f", body=b"built here")
            self.assertIn("did not answer in time", server.log_text())
            # It is left alone now.
            server.put("g.wasm", guests.answer("at once"))
            server.wait_for("/g", body=b"at once")
            self.assertEqual(server.log_text().count("did not answer in time"), 1)

    def test_a_registry_that_lies(self):
        module = guests.answer("lied about")
        first = self.server(self.real.port, push="yes").start()
        first.put("f.wasm", module)
        first.until(lambda: self.has_tag(module), "the registry has it")
        front = self.front()

        def change(handler, whole):
            if "/blobs/" in handler.path:
                whole[2] = whole[2][:-1] + bytes([whole[2][-1] ^ 1])

        front.change = change
        second = self.server(front.port)
        cache(second.cache, "trust", self.key_of(first))
        second.start()
        second.put("f.wasm", module)
        second.wait_for("/f", body=b"lied about")
        self.assertEqual(self.signers(second), {self.key_of(second)})
        cache(second.cache, "verify")

    def test_words_of_the_configuration(self):
        result = run("serve", "--root", self.folder, "--cache", self.empty, "--set", "registry.address=http://x/y",
                     check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("oci://HOST/NAME", result.stderr)


if __name__ == "__main__":
    if not registry.made(registry.Registry):
        print("docker-registry is not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
