#!/usr/bin/env python3
"""The tutorial of README.md, replayed on real parts, from nothing: a name server (knot) gets two records, two peers of
Syncthing carry a function to the server, an authority (pebble) issues the certificate, and curl and Chromium see the
function by its name. Then the function is updated through the other peer, and the certificate renewed, both under load.

All of it runs in namespaces of its own, where port 53, 80 and 443 are free, /etc/resolv.conf names that name server,
and the system trusts that authority; so every program is used as it would be elsewhere, and nothing reaches further.
"""
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import acme
import e2e
import guests
import nameserver
import syncing

INSIDE = "TF_TUTORIAL_INSIDE"
UNSHARE = ["unshare", "-mnpf" if os.geteuid() == 0 else "-Urmnpf", "--mount-proc", "--kill-child"]
PROGRAMS = ("knotd", "pebble", "uacme", "syncthing", "chromium", "certutil", "wrk", "curl", "ip")
HOST = "example.com"
FOLDER = "private/alice,kbwasm"
# What a tenant writes into the zone of his domain.
RECORDS = """@              A   127.0.0.1
_keybase_pages TXT "kbp=/keybase/private/alice,kbwasm/"
"""
CONFIG = """listen_tls: 127.0.0.1:443
tls:
  acme: %s
  renew_percent: 80
limits:
  domain_ttl_least_s: 1
  domain_absent_s: 1
"""
VALIDITY_S = 60
CLIENTS = 3


def missing():
    found = [name for name in PROGRAMS if syncing.executable(name) is None]
    if subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        found.append("namespaces")
    return ", ".join(found)


def run(*command, **arguments):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=e2e.PATIENCE,
                          **arguments).stdout.decode("utf-8", "replace")


def put_over(place, text):
    """The file is another one, in this namespace."""
    path = os.path.join(tempfile.mkdtemp(prefix="tf-over-"), "file")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    run("mount", "--bind", path, os.path.realpath(place))
    return os.path.dirname(path)


class Visitors:
    """Clients that verify what they are shown, find the host by the DNS and come anew all the time."""

    def __init__(self, texts):
        self.texts = texts
        self.failures, self.serials, self.seen = [], set(), set()
        self.done = 0
        self.stops = threading.Event()
        self.threads = [threading.Thread(target=self._visit) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _visit(self):
        context = ssl.create_default_context()
        while not self.stops.is_set():
            try:
                with socket.create_connection((HOST, 443), e2e.PATIENCE) as plain, \
                        context.wrap_socket(plain, server_hostname=HOST) as connection:
                    self.serials.add(connection.getpeercert()["serialNumber"])
                    for _ in range(5):
                        connection.sendall(b"GET /hello.wasm HTTP/1.1\r\nHost: %s\r\n\r\n" % HOST.encode())
                        self._judge(connection)
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))

    def _judge(self, connection):
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(tuple(self.texts)):
            more = connection.recv(65536)
            if not more or len(answer) > 4096:
                raise ValueError("not the function: %r" % answer)
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ValueError("not 200: %r" % answer)
        self.seen.add(answer.split(b"\r\n\r\n", 1)[1])
        self.done += 1

    def stop(self):
        self.stops.set()
        for thread in self.threads:
            thread.join()


class Tutorial(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tf-tutorial-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        run("ip", "link", "set", "lo", "up")
        self.addCleanup(shutil.rmtree, put_over("/etc/resolv.conf", "nameserver 127.0.0.1\n"), True)
        self.names = nameserver.Knot(HOST + ".", "", 53)
        self.addCleanup(self.names.close)
        self.authority = acme.Authority(80, 443, VALIDITY_S, 53)
        self.addCleanup(self.authority.close)
        self.server = e2e.Server(2, config=CONFIG % self.authority.directory)
        self.addCleanup(self.server.close)
        self.server.port = 80
        self.server.until(self.authority.is_up, "pebble listens")
        self.root = self.server.until(self._root, "pebble tells its root")
        with open(self.authority.chain, encoding="ascii") as stream:
            self.addCleanup(shutil.rmtree, put_over(acme.BUNDLE, self.root + stream.read()), True)
        os.rmdir(os.path.join(self.server.root, "_default"))
        self.server.start()
        self.tenants = os.path.join(self.folder, "tenant")
        self.peers = syncing.syncthing_pair(self.folder, self.tenants, os.path.join(self.server.root, FOLDER))
        for peer in self.peers:
            self.addCleanup(peer.close)

    def _root(self):
        try:
            return self.authority.root()
        except OSError:
            return None

    def copy(self, text):
        """As a tenant does, on a machine that is not the server."""
        with open(os.path.join(self.tenants, "hello.wasm"), "wb") as stream:
            stream.write(guests.answer(text))

    def curl(self):
        done = subprocess.run(["curl", "-sS", "--max-time", "60", "https://%s/hello.wasm" % HOST],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode("utf-8", "replace")

    def browse(self):
        home = os.path.join(self.folder, "home")
        store = "sql:" + os.path.join(home, ".pki", "nssdb")
        os.makedirs(store[4:])
        authority = os.path.join(home, "root.pem")
        with open(authority, "w", encoding="ascii") as stream:
            stream.write(self.root)
        run("certutil", "-d", store, "-N", "--empty-password")
        run("certutil", "-d", store, "-A", "-n", "authority", "-t", "C,,", "-i", authority)
        # A browser's own sandbox does not start for root; what it shows here is ours.
        return run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--disable-background-networking", "--disable-component-update", "--no-first-run",
                   "--user-data-dir=" + os.path.join(home, "profile"), "--dump-dom", "https://%s/hello.wasm" % HOST,
                   env=dict(os.environ, HOME=home))

    def check_load(self, load):
        text = load.communicate(timeout=e2e.PATIENCE)[0].decode()
        self.assertNotIn("Non-2xx", text)
        self.assertNotIn("Socket errors", text)
        return int(re.search(r"(\d+) requests in", text).group(1))

    def test_from_nothing_to_https(self):
        self.assertIn("Could not resolve host", self.curl())
        began = time.monotonic()
        self.names.replace(RECORDS, 2)
        self.copy("Hello from the tutorial!\n")
        self.server.until(lambda: self.curl() == "Hello from the tutorial!\n", "curl sees the function")
        live = time.monotonic()
        self.assertEqual(self.authority.count("/order-plz"), 1)
        self.assertIn("Hello from the tutorial!", self.browse())
        browsed = time.monotonic()

        visitors = Visitors([b"Hello from the tutorial!\n", b"Hello again!\n"])
        # With its number: a machine without netbase knows no ports by name.
        load = subprocess.Popen(["wrk", "-t1", "-c8", "-d8", "https://%s:443/hello.wasm" % HOST],
                                stdout=subprocess.PIPE)
        try:
            self.server.until(lambda: visitors.done > 20, "visitors come")
            self.copy("Hello again!\n")
            self.server.until(lambda: b"Hello again!\n" in visitors.seen, "the update is live")
            requests = self.check_load(load)
            updated = time.monotonic()
            self.server.until(lambda: len(visitors.serials) >= 2, "a renewed certificate is seen")
        finally:
            visitors.stop()
            load.kill()
            load.wait()
        self.assertEqual(visitors.failures, [])
        self.assertEqual(self.curl(), "Hello again!\n")
        self.assertGreater(requests, 100)
        print("\nlive after %.1f s, in Chromium after %.1f s more; update and renewal under %d + %d requests, none "
              "failed, %.1f + %.1f s" % (live - began, browsed - live, requests, visitors.done, updated - browsed,
                                         time.monotonic() - updated), file=sys.stderr)


if __name__ == "__main__":
    if INSIDE in os.environ:
        unittest.main(verbosity=2)
    lacking = missing()
    if lacking:
        print("SKIPPED, NOTHING WAS TESTED: this machine lacks " + lacking)
        sys.exit(77)
    os.environ[INSIDE] = "1"
    os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, "-B", os.path.abspath(__file__), *sys.argv[1:]])
