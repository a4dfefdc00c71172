"""SIGTERM: what is in flight is answered, the idle are closed at once, and it ends in time."""
import os
import signal
import socket
import time
import unittest

import e2e
import guests


class Stop(unittest.TestCase):
    def serve(self, **arguments):
        server = e2e.Server(workers=2, **arguments)
        self.addCleanup(server.close)
        server.put("ok.wasm", guests.answer("fine"))
        server.put("busy.wasm", guests.busy(800, "in flight"))
        server.start()
        server.wait_for("/ok.wasm", body=b"fine")
        server.wait_for("/busy.wasm", body=b"in flight")
        return server

    def test_in_flight_is_answered_and_idle_is_closed(self):
        server = self.serve()
        idle = [e2e.Connection(server.port) for _ in range(6)]
        for connection in idle[:3]: # three between two requests, three before their first
            self.assertEqual(connection.ask("/ok.wasm").body, b"fine")
        busy = [e2e.Connection(server.port) for _ in range(4)]
        for connection in busy:
            connection.send("GET /busy.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        children = e2e.descendants(server.process.pid)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for connection in idle:
            self.assertTrue(connection.is_closed_within(5), "an idle connection is closed")
            connection.close()
        for connection in busy:
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"in flight"))
            self.assertTrue(connection.is_closed_within(5), "and then the busy ones")
            connection.close()
        self.assertEqual(server.process.wait(20), 0, server.log_tail())
        print("stopped %.0f ms after SIGTERM" % ((time.monotonic() - began) * 1000))
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", server.port), timeout=2).close()
        server.until(lambda: not e2e.running(children), "no child is left", 10)

    def test_it_is_bounded(self):
        """A client that never ends its request does not hold up the end."""
        server = self.serve(config="limits:\n  stop_ms: 1000\n  idle_ms: 60000\n  send_ms: 60000\n")
        half = e2e.Connection(server.port)
        half.send("POST /ok.wasm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        began = time.monotonic()
        self.assertEqual(server.stop(20), 0, server.log_tail())
        self.assertLess(time.monotonic() - began, 15)
        half.close()

    def test_while_building(self):
        server = self.serve()
        server.put("slow.wasm", guests.slow_to_build(300, salt=3))
        server.wait_for("/slow.wasm", 503)
        children = e2e.descendants(server.process.pid)
        self.assertEqual(server.stop(20), 0, server.log_tail())
        server.until(lambda: not e2e.running(children), "no child is left", 10)

    def test_sigint_too_and_twice(self):
        server = self.serve()
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(20), 0, server.log_tail())

    def test_start_again_on_the_same_cache(self):
        server = self.serve()
        self.assertEqual(server.stop(), 0)
        server.put("ok.wasm", guests.answer("changed while it was down"))
        os.unlink(server.path("busy.wasm"))
        server.start()
        server.wait_for("/ok.wasm", body=b"changed while it was down")
        server.wait_for("/busy.wasm", 404)

    def test_port_in_use(self):
        server = self.serve()
        second = e2e.Server()
        self.addCleanup(second.close)
        second.port = server.port
        second.launch()
        self.assertNotEqual(second.process.wait(20), 0)
        self.assertIn(str(server.port), second.log_text())
        self.assertEqual(server.ask("/ok.wasm").body, b"fine")


if __name__ == "__main__":
    unittest.main(verbosity=2)
