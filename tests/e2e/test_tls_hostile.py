#!/usr/bin/env python3
"""What scanners for weak TLS try, and clients that build their first message by hand. A refusal is an alert or a closed
connection; whatever it was, the next client is served."""
import os
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import unittest

import e2e
import tls

ALERT, HANDSHAKE = 21, 22
UNEXPECTED, OVERFLOW, FAILURE, ILLEGAL, DECODE, VERSION, FALLBACK, NAME, PROTOCOL = 10, 22, 40, 47, 50, 70, 86, 112, 120
GROUPS = (29, 23, 24)
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503)
MODERN = (0xc02b, 0xc02f, 0xc02c)
CLOSED = "closed"


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def words(numbers):
    return b"".join(struct.pack(">H", number) for number in numbers)


def name_extension(name, kind=0):
    return 0, vector(2, bytes([kind]) + vector(2, name))


def extensions(name=b"a.test", groups=GROUPS, signatures=SIGNATURES, version=None, more=()):
    found = [] if name is None else [name_extension(name)]
    found += [(10, vector(2, words(groups))), (13, vector(2, words(signatures))), (11, b"\x01\x00"), (23, b"")]
    if version == 0x304:
        found += [(43, vector(1, words([0x304]))), (51, vector(2, b""))]
    return found + list(more)


def hello(found=None, ciphers=MODERN, version=0x303, session=b"", compression=b"\0"):
    """The handshake message."""
    found = extensions() if found is None else found
    body = struct.pack(">H", version) + bytes(range(32)) + vector(1, session) + vector(2, words(ciphers))
    body += vector(1, compression) + vector(2, b"".join(struct.pack(">H", kind) + vector(2, data)
                                                        for kind, data in found))
    return b"\x01" + vector(3, body)


def records(message, size=1 << 14, kind=HANDSHAKE, version=0x301):
    return b"".join(struct.pack(">BH", kind, version) + vector(2, message[at:at + size])
                    for at in range(0, len(message), size))


class Answer:
    """Of a raw connection: `alert` is a number or CLOSED; else what the ServerHello says."""

    def __init__(self, data):
        self.alert = CLOSED
        if len(data) >= 7 and data[0] == ALERT:
            self.alert = data[6]
        elif len(data) > 5 and data[0] == HANDSHAKE and data[5] == 2:
            self.alert = None
            body = data[9:]
            self.random = body[2:34]
            length = body[34]
            self.session = body[35:35 + length]
            self.cipher, self.compression = struct.unpack(">HB", body[35 + length:38 + length])
            at, self.extensions = 40 + length, {}
            end = at + struct.unpack(">H", body[38 + length:40 + length])[0]
            while at < end:
                kind, size = struct.unpack(">HH", body[at:at + 4])
                self.extensions[kind] = body[at + 4:at + 4 + size]
                at += 4 + size


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = tls.Server(workers=1, limits={"handshake_ms": 2000})
        tls.make_certificate(cls.server.certificates, "a", ["a.test"])
        tls.make_certificate(cls.server.certificates, "r", ["r.test"], kind="rsa")
        cls.server.put("page.txt", b"a page", site="a.test")
        cls.server.start()
        cls.server.until(lambda: cls.server.serves("a.test"), "a.test has a certificate")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def tearDown(self):
        self.assertEqual(self.server.ask_secure("/page.txt", "a.test").body, b"a page")

    def send(self, *pieces):
        """The first flight of the answer; each piece is a segment of its own."""
        with socket.create_connection(("127.0.0.1", self.server.tls_port), timeout=e2e.PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b""
            try:
                for piece in pieces:
                    connection.sendall(piece)
                while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
                    more = connection.recv(65536)
                    if not more:
                        break
                    data += more
            except ConnectionError:
                pass
            return Answer(data)

    def ask(self, *arguments, **options):
        return self.send(records(hello(*arguments, **options)))

    def refused(self, answer, *alerts, what=""):
        self.assertIn(answer.alert, alerts, what)

    # -- versions, ciphers, curves, signatures --

    def test_what_is_taken(self):
        answer = self.ask()
        self.assertIsNone(answer.alert)
        self.assertEqual(answer.random[24:], b"DOWNGRD\x01")  # 1.3 is known here: who was talked down sees it
        self.assertEqual((answer.cipher, answer.compression), (0xc02b, 0))
        self.assertIn(0xff01, self.ask(ciphers=MODERN + (0x00ff,)).extensions)
        self.assertIn(23, answer.extensions)  # the master secret is bound to the handshake
        self.assertNotIn(15, self.ask(extensions(more=[(15, b"\x01")])).extensions)  # no heartbeat
        self.assertEqual(self.ask(ciphers=(0xc02c, 0xc02b)).cipher, 0xc02b)  # our order, not the client's

    def test_old_versions(self):
        for version in (0x300, 0x301, 0x302):
            self.refused(self.ask(version=version), VERSION, FAILURE, what=version)
        self.refused(self.ask(extensions(more=[(43, vector(1, words([0x302, 0x301])))])), VERSION)
        self.refused(self.ask(ciphers=MODERN + (0x5600,)), FALLBACK)
        self.refused(self.send(b"\x80\x2e\x01\x00\x02" + bytes(41)), VERSION, DECODE, UNEXPECTED, CLOSED)

    def test_weak_ciphers(self):
        weak = {"none": (0x0001, 0x0002, 0x003b, 0xc006), "export": (0x0003, 0x0006, 0x0008, 0x0014),
                "anonymous": (0x0018, 0x001b, 0x0034, 0x00a6, 0xc018), "rc4": (0x0004, 0x0005, 0xc011),
                "des": (0x0009, 0x000a, 0xc012, 0xc008), "rsa": (0x002f, 0x0035, 0x009c, 0x009d, 0x003c),
                "dhe": (0x0033, 0x0039, 0x009e, 0x009f, 0xccaa), "cbc": (0xc009, 0xc013, 0xc023, 0xc027),
                "psk": (0x008c, 0x00a8), "nothing": ()}
        for name in (b"a.test", b"r.test"):
            for what, ciphers in weak.items():
                self.refused(self.ask(extensions(name=name), ciphers=ciphers), FAILURE, ILLEGAL, DECODE, what=what)

    def test_weak_curves_and_signatures(self):
        weak = (19, 21, 1, 9, 22, 26, 256, 257)
        self.refused(self.ask(extensions(groups=weak)), FAILURE)
        answer = self.ask(extensions(groups=weak, version=0x304), ciphers=(0x1301,))
        self.refused(answer, FAILURE, ILLEGAL)
        self.assertIsNone(self.ask(extensions(name=b"r.test", groups=weak + (24,))).alert)
        self.refused(self.ask(extensions(signatures=(0x0203, 0x0201, 0x0101, 0x0103))), FAILURE)
        self.refused(self.ask(extensions(signatures=(0x0201, 0x0101), name=b"r.test")), FAILURE)

    def test_compression(self):
        self.refused(self.ask(compression=b"\1"), ILLEGAL, DECODE, FAILURE)
        self.refused(self.ask(compression=b""), ILLEGAL, DECODE)
        self.assertEqual(self.ask(compression=b"\1\0").compression, 0)

    def test_what_is_not_known_is_passed_over(self):
        grease = [(0x0a0a, b""), (0x1a1a, b"x"), (0xfafa, bytes(200))]
        answer = self.ask(extensions(groups=(0x2a2a,) + GROUPS, more=grease), ciphers=(0x3a3a, 0x1301) + MODERN)
        self.assertIsNone(answer.alert)

    # -- the name --

    def test_names(self):
        for name in (b"a.test", b"A.Test", b"a.test."):
            self.assertIsNone(self.ask(extensions(name=name)).alert, name)
        for name in (b"a.test\0", b"a.test\0.evil.test", b"\0", b"", b".", b"a.test..", b"a..test", b" a.test",
                     b"a.test ", b"127.0.0.1", b"[::1]", b"::1", b"a.test:443", b"a.test/", b"../a.test", b"a_test",
                     b"*", b"*.test", b"x" * 64 + b".test", b"x." * 127 + b"test", b"a." * 4000 + b"test", b"\xff\xfe",
                     b"a.test\r\n", b"\xd0\xb0.test", b"private", b"team", b"_default"):
            self.refused(self.ask(extensions(name=name)), NAME, DECODE, what=name)
        self.refused(self.ask(extensions(name=None)), NAME)

    def test_lists_of_names(self):
        entry = b"\0" + vector(2, b"a.test")
        for data in (b"", b"\0\0", vector(2, entry + entry), vector(2, b"\1" + vector(2, b"a.test")), entry,
                     vector(2, entry)[:-1], vector(2, entry) + b"\0", vector(2, b"\0\xff\xff" + b"a.test"),
                     vector(2, entry + b"\1\0\0")):
            self.refused(self.ask(extensions(name=None, more=[(0, data)])), NAME, DECODE, what=data)
        self.refused(self.ask(extensions(more=[name_extension(b"a.test")])), ILLEGAL, DECODE, NAME) # twice

    # -- protocols --

    def test_protocols(self):
        def protocols(*names):
            return extensions(more=[(16, vector(2, b"".join(vector(1, name) for name in names)))])
        for names in ((b"http/1.1",), (b"h2", b"http/1.1"), (b"acme-tls/1", b"http/1.1"), (b"\x0a\x0a", b"http/1.1")):
            self.assertEqual(self.ask(protocols(*names)).extensions[16], b"\x00\x09\x08http/1.1", names)
        for names in ((b"h2",), (b"h3",), (b"HTTP/1.1",), (b"http/1.0",), (b"http/1.1\0",), (b"spdy/3.1", b"h2c")):
            self.refused(self.ask(protocols(*names)), PROTOCOL, what=names)
        for data in (b"", b"\0\0", b"\0\x01\0", b"\0\x09\x09http/1.1", b"\0\x0a\x08http/1.1", b"\xff\xff\x08http/1.1"):
            self.refused(self.ask(extensions(more=[(16, data)])), DECODE, PROTOCOL, ILLEGAL, what=data)

    # -- form and size --

    def test_a_message_in_pieces(self):
        message = hello()
        whole = records(message)
        self.assertIsNone(self.send(*(whole[i:i + 1] for i in range(len(whole)))).alert)
        self.assertIsNone(self.send(records(message, 1)).alert)
        self.assertIsNone(self.send(*(records(message[i:i + 7]) for i in range(0, len(message), 7))).alert)
        self.refused(self.send(struct.pack(">BHH", HANDSHAKE, 0x301, 0) * 1000 + whole), UNEXPECTED, DECODE, CLOSED)

    def test_large_messages(self):
        for size, is_served in ((1000, True), (16000, True), (60000, True)):
            answer = self.ask(extensions(more=[(21, bytes(size))]))
            self.assertEqual(answer.alert is None, is_served, size)
        message = b"\x01" + vector(3, bytes(300000))
        self.refused(self.send(records(message)), ILLEGAL, DECODE, OVERFLOW, CLOSED)
        self.refused(self.send(records(b"\x01\xff\xff\xff" + bytes(20))), ILLEGAL, DECODE, OVERFLOW, CLOSED)
        self.refused(self.send(struct.pack(">BHH", HANDSHAKE, 0x301, 0xffff) + bytes(0xffff)), OVERFLOW, CLOSED, DECODE)

    def test_twisted_messages(self):
        good = hello()
        for at in list(range(4, 44)) + list(range(44, len(good), 3)):
            for value in (0, 0xff, good[at] ^ 1):
                answer = self.send(records(good[:at] + bytes([value]) + good[at + 1:]))
                self.assertTrue(answer.alert is None or answer.alert == CLOSED or 0 < answer.alert < 128)
        for length in range(0, len(good) - 4, 5):
            self.refused(self.send(records(b"\x01" + vector(3, good[4:4 + length]))), DECODE, ILLEGAL, NAME, FAILURE,
                         VERSION, what=length)

    def test_messages_out_of_turn(self):
        first = records(hello())
        early = struct.pack(">BHH", 20, 0x303, 1) + b"\1"
        heartbeat = struct.pack(">BHH", 24, 0x303, 7) + b"\x01\x40\x00abcd"
        for pieces in ((early,), (heartbeat,), (records(b"\x10" + vector(3, bytes(66))),),
                       (records(b"x" * 50, kind=23),), (records(b"\x02\x28", kind=ALERT),),
                       (records(b"\x01\x00", kind=ALERT),)):
            self.refused(self.send(*pieces), UNEXPECTED, DECODE, CLOSED, VERSION, what=pieces)
        for more in (early + records(bytes(40), version=0x303), heartbeat, records(b"GET / HTTP/1.1\r\n\r\n", kind=23)):
            with socket.create_connection(("127.0.0.1", self.server.tls_port), timeout=e2e.PATIENCE) as connection:
                connection.sendall(first + more)
                data = b""
                try:
                    while True:
                        piece = connection.recv(65536)
                        if not piece:
                            break
                        data += piece
                except ConnectionError:
                    pass
            self.assertNotIn(b"HTTP/1.1", data)
            self.assertLess(len(data), 8192)

    def test_heartbeat_gives_nothing_away(self):
        with self.server.secure("a.test", context=tls.client_context(version=ssl.TLSVersion.TLSv1_2)) as connection:
            raw = socket.socket(fileno=os.dup(connection.socket.fileno()))
            with raw:
                raw.settimeout(e2e.PATIENCE)
                raw.sendall(struct.pack(">BHH", 24, 0x303, 3) + b"\x01\xff\xff")
                data = b""
                try:
                    while len(data) < 65536:
                        piece = raw.recv(65536)
                        if not piece:
                            break
                        data += piece
                except ConnectionError:
                    pass
        self.assertLess(len(data), 1000)

    def test_tickets_that_are_not_ours(self):
        for ticket in (bytes(1), bytes(16), bytes(200), os.urandom(192), bytes(16000)):
            for session in (b"", b"x", b"y" * 32):
                answer = self.ask(extensions(more=[(35, ticket)]), session=session)
                self.assertIsNone(answer.alert)
                self.assertNotEqual(answer.session[:1] or b"-", b"x")  # not resumed

    # -- sessions --

    def test_no_early_data(self):
        with tempfile.TemporaryDirectory() as folder:
            session, early = os.path.join(folder, "s"), os.path.join(folder, "e")
            with open(early, "wb") as stream:
                stream.write(b"GET /page.txt HTTP/1.1\r\nHost: a.test\r\n\r\n")
            request = "GET /page.txt HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
            options = ["-servername", "a.test", "-tls1_3", "-ign_eof"]
            self.assertIn("a page", self.server.s_client(*options, "-sess_out", session, text=request))
            said = subprocess.run(["openssl", "sess_id", "-in", session, "-noout", "-text"], stdout=subprocess.PIPE,
                                  check=True).stdout.decode()
            self.assertIn("Max Early Data: 0", said)
            text = self.server.s_client(*options, "-sess_in", session, "-early_data", early, text=request)
            self.assertNotIn("Early data was accepted", text)
            self.assertIn("Reused", text)

    def test_keys_of_tickets_change(self):
        """A new certificate service has new ones: what an old one opened is no session any more, and no failure."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls.client_context(version=version)
            with self.server.secure("a.test", context=context) as connection:
                connection.ask("/page.txt", host="a.test")
                session = connection.socket.session

            def is_reused():
                with self.server.secure("a.test", context=context, session=session) as connection:
                    self.assertEqual(connection.ask("/page.txt", host="a.test").status, 200)
                    return connection.socket.session_reused
            self.assertTrue(is_reused())
            for pid in self.server.children("_certificates"):
                os.kill(pid, signal.SIGKILL)
            self.server.until(lambda: not is_reused(), "the keys are others")

    # -- time --

    def test_handshakes_that_never_end(self):
        whole = records(hello())
        connections = []
        for i in range(100):
            connection = socket.create_connection(("127.0.0.1", self.server.tls_port), timeout=e2e.PATIENCE)
            connection.sendall(whole[:i] if i % 2 else whole)
            connections.append(connection)
        self.assertEqual(self.server.ask_secure("/page.txt", "a.test").body, b"a page")
        for connection in connections:  # each is given up in the end
            with connection:
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionError:
                    pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
