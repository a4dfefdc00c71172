"""Clients that want to hold the server: too many, too slow, never reading."""
import socket
import time

import e2e
import guests


class Slow(e2e.Case):
    limits = {"idle_ms": 1000, "send_ms": 1000, "connections": 40}

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))
        server.put("big.wasm", guests.big(12 << 20))
        server.put("big.bin", b"B" * (12 << 20))
        server.put("echo.wasm", guests.module(guests.ECHO_BODY))

    def test_idle_connections_end(self):
        connections = [e2e.Connection(self.server.port) for _ in range(5)]
        for connection in connections:
            self.assertTrue(connection.is_closed_within(15))
            connection.close()

    def test_a_request_in_small_drops_ends(self):
        """One byte every 200 ms, head and body: the time for the whole request counts, not that for a byte."""
        self.server.wait_for("/echo.wasm")
        head = b"POST /echo.wasm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        for begin in (b"", head):
            connection = e2e.Connection(self.server.port)
            connection.send(begin)
            began = time.monotonic()
            drops = b"GET /ok.wasm HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000
            ended = False
            for byte in drops:
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    ended = True
                    break
                if connection.is_closed_within(0.2):
                    ended = True
                    break
            connection.close()
            self.assertTrue(ended, "the slow request was ended")
            self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.server.ask("/ok.wasm").body, b"fine")

    def test_stalled_readers_are_dropped(self):
        """Who asks and never reads loses its connection; the memory it held comes back."""
        for path in ("/big.wasm", "/big.bin"):
            self.server.wait_for(path)
            stalled = []
            for _ in range(8):
                connection = e2e.Connection(self.server.port, receive_buffer=4096)
                connection.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
                stalled.append(connection)
            self.assertEqual(self.server.wait_for("/ok.wasm", seconds=10).body, b"fine")
            self.server.until(lambda: self.established() <= 2, "stalled connections are dropped", 20)
            for connection in stalled:
                connection.close()
        # A reader that is slow but reads gets everything.
        with e2e.Connection(self.server.port, receive_buffer=65536) as connection:
            connection.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = 0
            for _ in range(3):
                received += len(connection.socket.recv(65536))
                time.sleep(0.4)
            while received < 12 << 20:
                data = connection.socket.recv(1 << 20)
                self.assertTrue(data, "the slow reader was dropped after %d bytes" % received)
                received += len(data)

    def established(self):
        """Connections that the server still holds, by its end."""
        count = 0
        with open("/proc/net/tcp", encoding="ascii") as stream:
            for line in list(stream)[1:]:
                fields = line.split()
                if int(fields[1].split(":")[1], 16) == self.server.port and fields[3] in ("01", "08"):
                    count += 1
        return count

    def test_connection_cap(self):
        """Forty fit; those beyond wait or are turned away, and when room is made, requests are answered."""
        self.server.wait_for("/ok.wasm")
        time.sleep(0.1)
        held = []
        try:
            for _ in range(60):
                connection = e2e.Connection(self.server.port, timeout=5)
                connection.send("GET /ok.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
                held.append(connection)
            answered = 0
            for connection in held:
                connection.socket.settimeout(0.5)
                try:
                    answered += connection.read_response().status == 200
                except (OSError, socket.timeout):
                    pass
            self.assertGreaterEqual(answered, 35)
        finally:
            for connection in held:
                connection.close()
        self.assertEqual(self.server.wait_for("/ok.wasm", seconds=20).body, b"fine")

    def test_head_of_a_request_has_a_limit(self):
        for filler in ("X: " + "y" * 500000, "\r\n".join("X%d: y" % index for index in range(5000))):
            with e2e.Connection(self.server.port, timeout=20) as connection:
                try:
                    connection.send("GET /ok.wasm HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % filler)
                    self.assertGreaterEqual(connection.read_response().status, 400)
                except OSError:
                    pass # cut off
            self.assertEqual(self.server.wait_for("/ok.wasm", seconds=10).body, b"fine")

    def test_long_targets(self):
        self.server.wait_for("/ok.wasm")
        for length in (1000, 5000, 20000):
            self.assertIn(self.server.ask("/" + "a" * length).status, (400, 404, 414), length)
            self.assertIn(self.server.ask("/ok.wasm?" + "a" * length).status, (200, 400, 414), length)
        self.assertEqual(self.server.ask("/ok.wasm").body, b"fine")

    def test_pipelining(self):
        self.server.wait_for("/ok.wasm")
        with e2e.Connection(self.server.port) as connection:
            connection.send("GET /ok.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            for _ in range(20):
                self.assertEqual(connection.read_response().body, b"fine")


if __name__ == "__main__":
    e2e.main()
