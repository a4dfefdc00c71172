"""What the tests of functions' way out share: a server, an upstream and a name server on loopback, and the function
that does what its request's body says."""
import json
import os
import struct

import e2e
import upstream

GUEST = os.path.join(e2e.BUILD, "tests", "guests", "outbound.wasm")


def guest():
    with open(GUEST, "rb") as stream:
        return stream.read()


class Outbound(e2e.Case):
    """A server whose functions may reach loopback, where the test does not say otherwise."""
    rules = ("allow _default 127.0.0.0/8:*", "allow _default [::1]:*")
    table = {}
    limits = {}
    workers = 1
    sites = ("_default",)

    @classmethod
    def setUpClass(cls):
        cls.upstream = upstream.Upstream()
        cls.names = upstream.Names(cls.table)
        config = "outbound:\n  resolvers: 127.0.0.1:%d\n" % cls.resolver_port()
        config += cls.more_config()
        if cls.rules:
            config += "  rules:\n" + "".join("    - %s\n" % json.dumps(rule) for rule in cls.rules)
        cls.config = config
        super().setUpClass()
        for site in cls.sites:
            cls.server.wait_for("/o.wasm", host="localhost" if site == "_default" else site)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.upstream.close()
        cls.names.close()

    @classmethod
    def more_config(cls):
        return ""

    @classmethod
    def resolver_port(cls):
        return cls.names.port

    @classmethod
    def prepare(cls, server):
        for site in cls.sites:
            server.put("o.wasm", guest(), site=site)

    def do(self, *lines, **arguments):
        body = "\n".join(lines).encode()

        def ran():
            """503: one of several workers does not know of the function yet, and has run nothing."""
            response = self.server.ask("/o.wasm", method="POST", body=body, **arguments)
            return response if response.status != 503 else None

        response = self.server.until(ran, "the function runs")
        self.assertEqual(response.status, 200, response)
        return response.body.decode("latin-1")

    def assert_begins(self, text, beginning):
        self.assertEqual(text[:len(beginning)], beginning, text[:300])

    def failure(self, line):
        """That it failed, and what the function's log says of it."""
        url = " %s: " % line.split(" ", 1)[1].split("?")[0]

        def told():
            return [said for said in self.log_lines() if url in said]
        before = len(told())
        self.assertEqual(self.do(line), "failed\n", line)
        return self.server.until(lambda: told()[before:], "the log tells of %s" % line, 20)[0]

    def log_lines(self):
        return [line for line in self.server.log_text().split("\n") if " outbound: " in line]


def query_of(name, kind=1, number=0x1234, flags=0x0100, count=1, behind=b"", of_class=1):
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    head = struct.pack(">HHHHHH", number, flags, count, 0, 0, 0)
    return head + wire + struct.pack(">HH", kind, of_class) + behind
