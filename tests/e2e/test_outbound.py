"""What functions get from the world outside: HTTP through the outbound service, DNS, and parked guests."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

import e2e
import nameserver
import outbound
import upstream


class Http(outbound.Outbound):
    table = {"two.test": [["127.0.0.1", "::1"]], "dead-first.test": [["127.0.0.2", "127.0.0.1"]]}
    # Nothing here is about time: on a busy machine a name server in Python takes what it takes.
    limits = {"outbound_ms": 60000, "outbound_connect_ms": 30000, "outbound_body_bytes": 2 << 20, "wall_ms": 60000,
              "response_body_bytes": 4 << 20}

    def test_get(self):
        self.assertEqual(self.do("get " + self.upstream.url("/ok")),
                         "200 4 fine\nContent-Length: 4\nX-Two: a\nX-Two: b\n")

    def test_an_error_is_a_response(self):
        self.assert_begins(self.do("get " + self.upstream.url("/no/such")), "404 7 missing\n")

    def test_what_is_sent(self):
        answer = self.do("with X-Mine one", "with Host other.example", "with Cookie a=b",
                         "with Transfer-Encoding chunked",
                         "with Content-Length 77", "with Connection x-mine", "with X-Empty ",
                         "post " + self.upstream.url("/echo") + " some text")
        method, headers, body = json.loads(answer.split(" ", 2)[2].split("\n")[0])
        fields = {name.lower(): value for name, value in headers}
        self.assertEqual((method, body), ("POST", "some text"))
        self.assertEqual(fields["x-mine"], "one")
        self.assertEqual(fields["host"], "other.example")
        self.assertEqual(fields["cookie"], "a=b")
        self.assertEqual(fields["content-length"], "9")
        self.assertEqual(fields["x-empty"], "")
        self.assertEqual(fields["user-agent"], "terrafirma")
        self.assertNotIn("transfer-encoding", fields)
        self.assertNotIn("content-type", fields)
        self.assertNotIn("expect", fields)
        self.assertEqual(len([name for name, _ in headers if name.lower() == "content-length"]), 1)
        self.assertNotIn("x-mine", fields["connection"])

    def test_no_body_where_there_is_none(self):
        answer = self.do("get " + self.upstream.url("/echo"))
        fields = {name.lower() for name, _ in json.loads(answer.split(" ", 2)[2].split("\n")[0])[1]}
        self.assertFalse(fields & {"content-length", "transfer-encoding", "content-type"})
        self.assert_begins(self.do("head " + self.upstream.url("/ok")), "200 0 \n")

    def test_own_agent(self):
        answer = self.do("with User-Agent mine/1", "get " + self.upstream.url("/echo"))
        self.assertIn('"mine/1"', answer)
        self.assertNotIn("terrafirma", answer)

    def test_bodies(self):
        for kb in (1, 5, 900):
            answer = self.do("get " + self.upstream.url("/size?kb=%d" % kb))
            self.assertEqual(answer[:answer.index("\nContent-Length")],
                             "200 %d %s" % (kb * 1000, "".join(chr(i % 251) for i in range(1000)) * kb))
        text = "".join(chr(33 + i % 90) for i in range(1500000))
        answer = self.do("post " + self.upstream.url("/echo") + " " + text)
        self.assertEqual(json.loads(answer.split(" ", 2)[2].split("\n")[0])[2], text)
        self.assertEqual(self.do("post " + self.upstream.url("/echo") + " " + "x" * (3 << 20))[:8], "no-body ")

    def test_gzip(self):
        answer = self.do("get " + self.upstream.url("/gzip"))
        self.assertTrue(answer.startswith("200 9000 unpacked unpacked"), answer[:100])
        self.assertNotIn("ncoding", answer)
        raw = self.do("with Accept-Encoding gzip", "get " + self.upstream.url("/gzip"))
        self.assertIn("Content-Encoding: gzip", raw)

    def test_names(self):
        self.assert_begins(self.do("get " + self.upstream.url("/ok", "two.test")), "200 4 fine")
        self.assertEqual(dict(self.upstream.seen[-1][2])["Host"], "two.test:%d" % self.upstream.port)
        # Nothing listens at its first address.
        self.assert_begins(self.do("get " + self.upstream.url("/ok", "dead-first.test")), "200 4 fine")
        self.assertIn("resolve: ", self.failure("get " + self.upstream.url("/ok", "nobody.test")))

    def test_redirects(self):
        for status, method, kept in ((301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "text"),
                                     (308, "POST", "text")):
            answer = self.do("with Authorization secret",
                             "post " + self.upstream.url("/redirect?status=%d&to=/echo" % status) + " text")
            seen = json.loads(answer.split(" ", 2)[2].split("\n")[0])
            self.assertEqual((seen[0], seen[2]), (method, kept), status)
            self.assertIn(["Authorization", "secret"], seen[1])
        # To another host: what belongs to the first one stays there.
        answer = self.do("with Authorization secret", "with Cookie a=b", "with Host h.example", "with X-Plain yes",
                         "get " + self.upstream.url("/redirect?to=" + self.upstream.url("/echo", "two.test")))
        fields = {name.lower(): value for name, value in json.loads(answer.split(" ", 2)[2].split("\n")[0])[1]}
        self.assertEqual(fields["x-plain"], "yes")
        self.assertEqual(fields["host"], "two.test:%d" % self.upstream.port)
        self.assertFalse(set(fields) & {"authorization", "cookie"})
        self.assertIn("redirects: too many", self.failure("get " + self.upstream.url("/loop")))
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:1/", "dict://127.0.0.1/",
                       "http://user:password@127.0.0.1/"):
            self.assertIn("redirects: ", self.failure("get " + self.upstream.url("/redirect?to=" + target)))

    def test_bad_upstreams(self):
        for path, cause in (("badgzip", "protocol"), ("lying", "protocol"), ("reset", "protocol"),
                            ("garbage", "protocol"), ("old", "protocol"), ("endless", "too large"),
                            ("huge", "too large"), ("heads", "too large"), ("bomb", "too large")):
            self.assertIn(": %s: " % cause, self.failure("get " + self.upstream.url("/" + path)), path)
        # What goes on after the length it gave is not looked at.
        self.assert_begins(self.do("get " + self.upstream.url("/liar")), "200 4 much\n")
        # Interim responses, chunks, and header lines that would make a guest's library stumble.
        self.assertEqual(self.do("get " + self.upstream.url("/split")), "200 6 abcdef\nX-Late: yes\n")

    def test_nobody_there(self):
        self.assertIn(": connect: ", self.failure("get http://127.0.0.1:%d/" % e2e.free_port()))

    def test_many_at_once(self):
        self.upstream.most = 0
        for how in ("wait", "select"):
            self.assertEqual(self.do("%s 10 %s" % (how, self.upstream.url("/slow?ms=300"))), "10 of 10\n")
        self.assertEqual(self.upstream.most, 10)
        self.assertEqual(self.do("poll " + self.upstream.url("/slow?ms=50")), "polled 200\n")
        mixed = self.do("select 3 " + self.upstream.url("/reset"), "get " + self.upstream.url("/ok"))
        self.assertTrue(mixed.startswith("0 of 3\n200 4 fine"), mixed)

    def test_left_alone(self):
        """Requests that nobody waits for end with the request that made them."""
        self.assertEqual(self.do("leave 5 " + self.upstream.url("/drip")), "left\n")
        self.server.until(lambda: self.upstream.now == 0, "the upstream is left alone", 20)

    def test_client_gone(self):
        with e2e.Connection(self.server.port) as connection:
            body = "get " + self.upstream.url("/drip")
            connection.send("POST /o.wasm HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(body), body))
            self.server.until(lambda: self.upstream.now == 1, "the request is made", 20)
        self.server.until(lambda: self.upstream.now == 0, "it is dropped with its client", 20)

    def test_misuse(self):
        self.assertEqual(self.do("handles " + self.upstream.url("/ok")), "fine\n")

    def test_count(self):
        lines = ["get " + self.upstream.url("/ok")] * 40
        self.assertEqual(self.do(*lines).count("200 4 fine"), 32)

    def test_counters(self):
        self.do("get " + self.upstream.url("/ok"))
        self.failure("get " + self.upstream.url("/reset"))
        self.failure("get http://10.0.0.1/")

        def told():
            said = subprocess.run([e2e.PROGRAM, "status", "--root", self.server.root, "--cache", self.server.cache],
                                  capture_output=True, text=True, timeout=60, check=False).stdout
            return " ok" in said and " protocol" in said and " forbidden" in said and said
        self.server.until(told, "status tells of it", 20)


class Impatient(outbound.Outbound):
    limits = {"outbound_ms": 1500, "outbound_connect_ms": 500, "wall_ms": 60000}

    def test_upstreams_that_are_slow(self):
        for path in ("silent", "drip"):
            self.assertIn(": timeout: ", self.failure("get " + self.upstream.url("/" + path)), path)

    def test_nobody_takes_the_connection(self):
        with socket.socket() as dead: # accepts no connection once its queue is full
            dead.bind(("127.0.0.1", 0))
            dead.listen(0)
            held = []
            for _ in range(4):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(dead.getsockname())
                held.append(client)
            self.assertIn(": timeout: ", self.failure("get http://127.0.0.1:%d/" % dead.getsockname()[1]))
            for client in held:
                client.close()


class Wall(outbound.Outbound):
    limits = {"wall_ms": 700, "outbound_ms": 30000, "cpu_ms": 300}

    def test_wall_time_runs_while_parked(self):
        for line in ("get " + self.upstream.url("/silent"), "wait 3 " + self.upstream.url("/silent")):
            response = self.server.ask("/o.wasm", method="POST", body=line.encode())
            self.assertEqual(response.status, 504)
        self.server.until(lambda: self.upstream.now in (0, 4), "the upstream may notice", 20)

    def test_polling_costs_cpu_time(self):
        response = self.server.ask("/o.wasm", method="POST", body=("poll " + self.upstream.url("/silent")).encode())
        self.assertEqual(response.status, 504)


class Processes(outbound.Outbound):
    workers = 2
    limits = {"wall_ms": 20000}

    def services(self):
        found = []
        for pid in e2e.descendants(self.server.process.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as stream:
                    words = stream.read().split(b"\0")
                if b"_service" in words and words[words.index(b"--index") + 1] == b"0":
                    found.append(pid)
            except OSError:
                continue
        return found

    def test_a_dead_service_comes_back(self):
        self.assert_begins(self.do("get " + self.upstream.url("/ok")), "200")
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(self.do("get " + self.upstream.url("/slow?ms=15000"))))
        asking.start()
        self.server.until(lambda: self.upstream.now == 1, "the request is made", 20)
        [pid] = self.services()
        os.kill(pid, signal.SIGKILL)
        asking.join(15)
        self.assertEqual(answers, ["failed\n"]) # long before the upstream would have answered
        self.server.until(lambda: self.do("get " + self.upstream.url("/ok")).startswith("200"), "it is back", 20)

    def test_a_dead_worker_leaves_nothing_behind(self):
        def ask():
            try:
                self.do("get " + self.upstream.url("/drip"))
            except (ConnectionError, OSError, AssertionError):
                pass
        self.server.until(lambda: self.upstream.now == 0, "it is quiet", 30)
        asking = threading.Thread(target=ask)
        asking.start()
        self.server.until(lambda: self.upstream.now == 1, "the request is made", 20)
        for pid in self.server.worker_pids():
            os.kill(pid, signal.SIGKILL)
        self.server.until(lambda: self.upstream.now == 0, "its request is dropped", 20)
        asking.join(20)
        self.server.until(lambda: self.server.ask("/o.wasm", method="POST", body=b"").status == 200, "it serves", 20)
        self.assert_begins(self.do("get " + self.upstream.url("/ok")), "200")

    def test_the_service_is_confined(self):
        [pid] = self.services()
        with open("/proc/%d/status" % pid, encoding="utf-8") as stream:
            status = stream.read()
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)


@unittest.skipUnless(shutil.which("openssl"), "needs openssl to make certificates")
class Tls(outbound.Outbound):
    table = {"good.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}

    @classmethod
    def more_config(cls):
        cls.folder = tempfile.mkdtemp(prefix="tf-e2e-tls-")
        contexts = {}
        for name in ("good", "stranger"):
            path = os.path.join(cls.folder, name)
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "2", "-subj", "/CN=good.test", "-addext", "subjectAltName=DNS:good.test",
                            "-keyout", path + ".key", "-out", path + ".pem"], check=True, capture_output=True)
            contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[name].load_cert_chain(path + ".pem", path + ".key")
        cls.good = upstream.Upstream(context=contexts["good"])
        cls.stranger = upstream.Upstream(context=contexts["stranger"])
        return "  ca_file: %s/good.pem\n" % cls.folder

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.good.close()
        cls.stranger.close()
        shutil.rmtree(cls.folder)

    def test_certificates(self):
        self.assert_begins(self.do("get " + self.good.url("/ok", "good.test")), "200 4 fine")
        self.assertIn(": tls: ", self.failure("get " + self.good.url("/ok", "other.test")))
        self.assertIn(": tls: ", self.failure("get " + self.good.url("/ok")))
        self.assertIn(": tls: ", self.failure("get " + self.stranger.url("/ok", "good.test")))
        self.assertIn("away from https", self.failure(
            "get " + self.good.url("/redirect?to=" + self.upstream.url("/ok", "good.test"), "good.test")))


class Dns(outbound.Outbound):
    table = {"both.test": [["127.0.0.1", "192.0.2.7", "2001:db8::1"]], "four.test": [["192.0.2.9"]],
             "secret.test": [["192.0.2.1"]]}
    rules = ("deny _default secret.test", "deny _default *.secret.test", "allow _default 127.0.0.0/8:8080",
             "allow _default 192.0.2.0/24", "allow _default [2001:db8::/32]:*")

    def test_addresses(self):
        self.assertEqual(self.do("ip both.test"), "found 7f000001 c0000207\n")
        self.assertEqual(self.do("ip6 both.test"), "found 20010db8000000000000000000000001\n")
        self.assertEqual(self.do("ip Four.Test."), "found c0000209\n")
        self.assertEqual(self.do("ip6 four.test"), "found\n") # there, without such an address
        for name in ("nobody.test", "", ".", "a..test", "a b", "-" * 64 + ".test", "a." * 126 + "test", "secret.test",
                     "sub.secret.test", "SECRET.test."):
            self.assertEqual(self.do("ip " + name), "failed\n", name)

    def raw(self, query):
        return self.do("raw " + query.hex()).strip()

    def test_raw(self):
        before = len(self.names.ids)
        answers = [bytes.fromhex(self.raw(outbound.query_of("four.test"))) for _ in range(4)]
        for answer in answers:
            self.assertEqual(answer[:2], b"\x12\x34")
            self.assertEqual(answer[-4:], socket.inet_aton("192.0.2.9"))
        ids = self.names.ids[before:]
        self.assertEqual(len(ids), 4)
        self.assertGreater(len(set(ids)), 1) # one of 65,536 each: not what the function said
        self.assertEqual(bytes.fromhex(self.raw(outbound.query_of("nobody.test")))[3] & 15, 3) # NXDOMAIN is an answer

    def test_raw_refusals(self):
        good = outbound.query_of("four.test")
        for bad in (b"", good[:11], good[:-1], good + b"x", outbound.query_of("four.test", flags=0x8100),
                    outbound.query_of("four.test", flags=0x2800), outbound.query_of("four.test", count=2),
                    outbound.query_of("four.test", 252), outbound.query_of("four.test", of_class=3),
                    outbound.query_of("secret.test"), outbound.query_of("a.secret.test"),
                    good[:12] + b"\xc0\x0c" + good[-4:], good[:12] + b"\x40" + good[13:]):
            self.assertEqual(self.raw(bad), "failed", bad)


class Lies(outbound.Outbound):
    """A resolver that answers badly."""
    limits = {"wall_ms": 20000, "dns_ms": 200}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names.answer = cls.lie # the thread looks it up each time

    @classmethod
    def lie(cls, query):
        question = query[12:]
        name = query[13:13 + query[12]].decode()
        good = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1"
        return {"short": good[:20], "cut": good[:-2], "long": good + b"x",
                "many": good[:6] + b"\xff\xff" + good[8:],
                "question": query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0\1x\0\0\1\0\1",
                "loop": good[:-16] + bytes([0xc0, len(good) - 16]) + good[-14:]}.get(name, good)

    def test_answers_that_are_none(self):
        for name in ("short", "cut", "long", "many", "question", "loop"):
            answer = self.do("raw " + outbound.query_of(name + ".test").hex())
            self.assertEqual(answer, "failed\n", name)
        self.assertNotEqual(self.do("raw " + outbound.query_of("fine.test").hex()), "failed\n")


@unittest.skipUnless(os.path.exists(nameserver.KNOTD), "needs knot")
class RealResolver(outbound.Outbound):
    """A DNS server that somebody else wrote."""

    @classmethod
    def setUpClass(cls):
        cls.knot = nameserver.Knot("test.", "real A 127.0.0.1\nreal AAAA ::1\nalias CNAME real\nbig TXT %s"
                                   % " ".join('"%s"' % (c * 200) for c in "abcdefghij" * 2))
        cls.addClassCleanup(cls.knot.close)
        super().setUpClass()

    @classmethod
    def resolver_port(cls):
        return cls.knot.port

    def test_it(self):
        self.server.until(lambda: self.do("ip real.test") == "found 7f000001\n", "knot answers", 30)
        self.assertEqual(self.do("ip6 alias.test"), "found 00000000000000000000000000000001\n")
        self.assert_begins(self.do("get " + self.upstream.url("/ok", "alias.test")), "200")
        big = bytes.fromhex(self.do("raw " + outbound.query_of("big.test", 16).hex()).strip())
        self.assertGreater(len(big), 4000) # by TCP


if __name__ == "__main__":
    e2e.main()
