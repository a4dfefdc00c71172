#!/usr/bin/env python3
"""The first client of a host waits for its certificate: in a folder of the host's name, and behind DNS records; what
ends that, and what a flood of such clients costs."""
import os
import select
import socket
import ssl
import sys
import threading
import time
import unittest

import acme
import e2e
import nameserver
import tls
from test_acme import make

REFUSED = "TLSV1_UNRECOGNIZED_NAME"
ALERT = b"\x15\x03\x03\x00\x02\x02\x70"
A = "a.example.com"
RECORDS = """
_terrafirma.dns      TXT "tf=/public/alice"
_terrafirma.stays    TXT "tf=/public/alice"
_terrafirma.lapses   TXT "tf=/public/alice"
_terrafirma.lost     TXT "tf=/public/nobody"
_terrafirma.unlisted TXT "tf=/team/listed"
"""


def first_message(name):
    """What a client sends first."""
    client, outgoing = memory_client(name)[::2]
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def memory_client(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return tls.client_context().wrap_bio(incoming, outgoing, server_hostname=name), incoming, outgoing


def in_records(hello, size):
    """The same message in records of `size` bytes."""
    message = hello[5:]
    parts = [message[at:at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


def connect(server, data):
    connection = socket.create_connection(("127.0.0.1", server.tls_port), e2e.PATIENCE)
    connection.sendall(data)
    return connection


def handshake_in_pieces(server, name, piece):
    """A handshake whose first message comes in small records, and these a few bytes at a time; what it was answered."""
    client, incoming, outgoing = memory_client(name)
    with socket.create_connection(("127.0.0.1", server.tls_port), e2e.PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        is_first, is_done = True, False
        while not is_done:
            try:
                client.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            data = outgoing.read()
            if is_first:
                data = in_records(data, piece)
                for at in range(0, len(data), 100):
                    connection.sendall(data[at:at + 100])
                    time.sleep(0.001)
            else:
                connection.sendall(data)
            is_first = False
            if not is_done:
                incoming.write(connection.recv(65536) or b"")
        client.write(b"GET /page.txt HTTP/1.0\r\nHost: %s\r\n\r\n" % name.encode())
        connection.sendall(outgoing.read())
        answer = b""
        while b"a page" not in answer:
            incoming.write(connection.recv(65536))
            try:
                answer += client.read(65536)
            except ssl.SSLWantReadError:
                pass
        return answer


class Clients:
    """Each in a thread of its own; `results` is what their functions returned, in no order."""

    def __init__(self, *functions):
        self.results = []
        self.threads = [threading.Thread(target=lambda f=f: self.results.append(f())) for f in functions]
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.results


class Waiting(unittest.TestCase):
    def held(self, **limits):
        """A server whose authority answers nothing for now."""
        server, authority = make(self, when="asked", limits={"tls_wait_ms": 600000, **limits}, workers=1)
        authority.goes_on.clear()
        return server.start(), authority

    def waits(self, server):
        """A client that waits: it hears nothing, and stays."""
        connection = connect(server, first_message(A))
        self.addCleanup(connection.close)
        self.assertEqual(select.select([connection], [], [], 1)[0], [])
        return connection

    def test_first_clients_wait_and_are_served(self):
        server, authority = self.held()
        contexts = [tls.client_context(version=version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]

        def page(context):
            with server.secure(A, context=context) as connection:
                return connection.ask("/page.txt", host=A).body
        clients = Clients(*[lambda c=c: page(c) for c in contexts * 2],
                          lambda: handshake_in_pieces(server, A, 50)[-6:],
                          lambda: handshake_in_pieces(server, A, 16384)[-6:])
        time.sleep(1)
        self.assertEqual(clients.results, [])
        authority.goes_on.set()
        self.assertEqual(clients.join(), [b"a page"] * 6)
        self.assertEqual(authority.count("/order-plz"), 1)
        # A session of such a handshake is as good as any.
        with server.secure(A, context=contexts[0]) as connection:
            session = connection.socket.session
        with server.secure(A, context=contexts[0], session=session) as connection:
            self.assertTrue(connection.socket.session_reused)

    def test_refusal_ends_the_wait(self):
        server, authority = self.held()
        clients = Clients(*[lambda: server.alert(A)] * 3)
        time.sleep(1)
        self.assertEqual(clients.results, [])
        authority.refuses = True
        authority.goes_on.set()
        self.assertEqual(clients.join(), [REFUSED] * 3)
        # Those that come before it is tried again are told at once, as the wait would last.
        self.assertEqual(server.alert(A), REFUSED)
        authority.refuses = False
        server.until(lambda: server.serves(A), "it is tried again")

    def test_time_ends_the_wait(self):
        server, _ = self.held(tls_wait_ms=300)
        self.assertEqual(server.alert(A), REFUSED)

    def test_nobody_waits_where_nobody_may(self):
        server, _ = self.held(tls_wait_ms=0)
        self.assertEqual(server.alert(A), REFUSED)

    def test_a_stop_ends_the_wait(self):
        server, _ = self.held()
        connection = self.waits(server)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(connection.recv(100), ALERT)

    def test_who_says_more_is_dropped(self):
        server, authority = self.held()
        connection = self.waits(server)
        connection.sendall(b"more")
        with self.assertRaises(ConnectionResetError):
            if connection.recv(100) == b"":
                raise ConnectionResetError
        authority.goes_on.set()
        server.until(lambda: server.serves(A), "others are served")

    def test_half_open_flood(self):
        server, authority = make(self, when="asked", workers=1,
                                 limits={"tls_wait_ms": 600000, "tls_host_waiters": 50, "tls_waiters": 100})
        server.put("page.txt", b"b page", site="b.example.com")
        server.start()
        self.assertEqual(server.ask_secure("/page.txt", "b.example.com").body, b"b page")
        authority.goes_on.clear()
        worker = server.worker_pids()[0]
        hello, waiting, before = first_message(A), [], memory(worker)
        with server.secure("b.example.com") as other:
            for _ in range(50):
                batch = [connect(server, hello) for _ in range(200)]
                # In order: this one's handshakes come after all of those.
                self.assertEqual(server.ask_secure("/page.txt", "b.example.com").body, b"b page")
                self.assertEqual(other.ask("/page.txt", host="b.example.com").body, b"b page")
                for connection in batch:
                    if select.select([connection], [], [], 0)[0]:
                        self.assertEqual(connection.recv(100), ALERT)
                        connection.close()
                    else:
                        waiting.append(connection)
        self.assertEqual(len(waiting), 50)
        self.assertEqual(server.alert(A), REFUSED)
        self.assertLess(memory(worker) - before, 32 << 20)
        # Those that leave make room, and one that waits then gets its certificate.
        for connection in waiting:
            connection.close()
        clients = Clients(lambda: server.ask_secure("/page.txt", A).body)
        time.sleep(1)
        self.assertEqual(clients.results, [])
        authority.goes_on.set()
        self.assertEqual(clients.join(), [b"a page"])
        self.assertEqual(server.worker_pids(), [worker])
        self.assertEqual(authority.count("/order-plz"), 2)


def memory(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as stream:
        return [int(line.split()[1]) << 10 for line in stream if line.startswith("VmRSS")][0]


class Records(unittest.TestCase):
    """Hosts that nothing but the DNS tells of."""

    def make(self, **limits):
        self.names = nameserver.Knot("example.com.", RECORDS)
        self.addCleanup(self.names.close)
        server, authority = make(self, when="asked", config="domains:\n  resolvers: 127.0.0.1:%d\n" % self.names.port,
                                 limits={"domain_ttl_least_s": 1, "domain_absent_s": 1, "tls_wait_ms": 600000,
                                         **limits})
        server.put("page.txt", b"alice's", site="public/alice")
        server.put("page.txt", b"listed", site="team/listed")
        server.put(".domains", b"other.example.com\n", site="team/listed")
        return server.start(), authority

    def test_the_first_handshake_is_the_first_word_of_it(self):
        server, authority = self.make()
        server.until(lambda: server.ask("/page.txt", host="stays.example.com").status == 200, "routes are there")
        self.assertEqual(server.ask_secure("/page.txt", "dns.example.com").body, b"alice's")
        self.assertEqual(server.ask_secure("/page.txt", "dns.example.com").body, b"alice's")
        orders = authority.count("/order-plz")
        self.assertLessEqual(orders, 2)  # the other came by HTTP
        for name in ("lost", "unlisted", "nothing"):
            self.assertEqual(server.alert(name + ".example.com"), REFUSED, name)

    def test_a_flood_of_names_starts_nothing(self):
        server, authority = self.make(tls_waiters=20)
        server.put("page.txt", b"page")
        server.wait_for("/page.txt")
        for i in range(150):
            self.assertEqual(server.alert("random-%d.example.com" % i), REFUSED)
        hellos = [connect(server, first_message("many-%d.example.com" % i)) for i in range(150)]
        for connection in hellos:
            self.assertEqual(connection.recv(100), ALERT)
            connection.close()
        self.assertEqual(authority.asked, [])
        self.assertEqual(server.ask_secure("/page.txt", "dns.example.com").body, b"alice's")
        self.assertEqual(authority.count("/order-plz"), 1)

    def test_what_lapsed_gets_none(self):
        server, authority = self.make()
        authority.refuses = True
        hosts = ["stays.example.com", "lapses.example.com"]
        server.until(lambda: server.ask("/page.txt", host=hosts[0]).status == 200, "routes are there")
        for host in hosts:
            self.assertEqual(server.alert(host), REFUSED)
        self.names.replace(RECORDS.replace("_terrafirma.lapses", "_terrafirma.other"), 2)
        server.until(lambda: server.ask("/page.txt", host=hosts[1]).status == 404, "the records lapsed")
        authority.refuses = False
        server.until(lambda: server.serves(hosts[0]), "the other is tried again")
        time.sleep(4)  # twice what a failure waits
        self.assertEqual(server.alert(hosts[1]), REFUSED)
        self.assertEqual(authority.count("/order-plz"), 1)


if __name__ == "__main__":
    if acme.missing() or not os.path.exists("/usr/sbin/knotd"):
        print("SKIPPED, NOTHING WAS TESTED: this machine lacks " + (acme.missing() or "knotd"))
        sys.exit(77)
    unittest.main(verbosity=2)
