"""A worker and its clients: files, what clients may do to it, and its end."""
import os
import signal
import socket
import threading
import time
import unittest

from worker import PATIENCE, Case


class Files(Case):
    def put(self, worker, name, data, site="_default"):
        path = os.path.join(worker.root, site, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data)
        return path

    def test_files(self):
        worker = self.worker()
        data = os.urandom(3 << 20)
        self.put(worker, "data.bin", data)
        self.put(worker, "sub/index.html", b"sub")
        self.put(worker, "fn.wasm", b"\0asm bytes")
        os.symlink("fn.wasm", os.path.join(worker.root, "_default", "fn.txt"))
        worker.publish({"_default": {}})
        with worker.connect() as connection:
            response = connection.ask("/data.bin")
            self.assertEqual((response.status, response.body == data), (200, True))
            self.assertEqual(response.header("x-content-type-options"), "nosniff")
            etag = response.header("etag")
            self.assertEqual(connection.ask("/data.bin", headers=[("If-None-Match", etag)]).status, 304)
            for first, last in ((0, 0), (262143, 262145), (1 << 20, (1 << 20) + 600000),
                                (len(data) - 1, len(data) - 1)):
                response = connection.ask("/data.bin", headers=[("Range", "bytes=%d-%d" % (first, last))])
                self.assertEqual((response.status, response.body == data[first:last + 1]), (206, True))
            response = connection.ask("/data.bin", headers=[("Range", "bytes=%d-" % len(data))])
            self.assertEqual((response.status, response.header("content-range")), (416, "bytes */%d" % len(data)))
            response = connection.ask("/data.bin", method="HEAD")
            self.assertEqual(response.header("content-length"), str(len(data)))
            response = connection.ask("/sub?a=b", method="GET")
            self.assertEqual((response.status, response.header("location")), (301, "/sub/?a=b"))
            self.assertEqual(connection.ask("/sub/").body, b"sub")
            response = connection.ask("/sub/", method="DELETE")
            self.assertEqual((response.status, response.header("allow")), (405, "GET, HEAD"))
            for path in ("/fn.wasm", "/fn.txt", "/fn", "/none", "/%66n.wasm", "/data.bin/"):
                self.assertEqual(connection.ask(path).status, 404, path)

    def test_a_file_that_shrinks_is_cut_short(self):
        worker = self.worker()
        path = self.put(worker, "data.bin", b"x" * (12 << 20))
        worker.publish({"_default": {}})
        with worker.connect(receive_buffer=4096) as connection:
            connection.send("GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.socket.recv(1)
            os.truncate(path, 1)
            with self.assertRaises(ConnectionError):
                connection.pending = b"H"
                connection.read_response()
        self.assertEqual(worker.ask("/data.bin").body, b"x")

    def test_many_who_leave_while_a_file_is_sent(self):
        worker = self.worker()
        self.put(worker, "data.bin", b"x" * (4 << 20))
        worker.publish({"_default": {}})
        for index in range(60):
            connection = worker.connect(receive_buffer=4096)
            connection.send("GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            if index % 2:
                connection.socket.recv(10)
            connection.close()
        self.assertEqual(len(worker.ask("/data.bin").body), 4 << 20)
        worker.until(lambda: len(os.listdir("/proc/%s/fd" % worker.tell("pid"))) < 40, "descriptors are closed")
        self.assertEqual(worker.stop(), 0)


class Clients(Case):
    def raw(self, worker, data):
        with worker.connect() as connection:
            connection.send(data)
            return connection.read_response()

    def test_requests_that_are_refused(self):
        worker = self.worker()
        worker.serve(one="one")
        for request, status in (
                (b"GET /one.wasm HTTP/1.1\r\n\r\n", 400),
                (b"GET /one.wasm HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                (b"GET /one.wasm HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
                (b"GET http://a/one.wasm HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
                (b"BREW /one.wasm HTTP/1.1\r\nHost: a\r\n\r\n", 501),
                (b"GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET //one.wasm HTTP/1.1\r\nHost: a\r\n\r\n", 404),
                (b"POST /one.wasm HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
                (b"POST /one.wasm HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"0\r\n\r\n", 400),
                (b"GET /one.wasm?" + b"a" * 65524 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 200),
                (b"GET /one.wasm?" + b"a" * 65525 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
                (b"GET /one.wasm?" + b"\"" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
                (b"GET /one.wasm HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                 b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", 200)):
            self.assertEqual(self.raw(worker, request).status, status, request[:100])
        self.assertNotIn("normalize", worker.log_text())

    def test_a_body_over_the_limit_is_told_so(self):
        worker = self.worker(request_body_bytes=1000)
        worker.serve(body="body")
        self.assertEqual(len(worker.ask("/body", method="POST", body=b"x" * 1000).body), 1000)
        for _ in range(10):
            with worker.connect() as connection:
                connection.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + b"x" * 600000)
                self.assertEqual(connection.read_response().status, 413)

    def test_connection_cap(self):
        worker = self.worker(connections=10)
        worker.serve(one="one")
        held = [worker.connect() for _ in range(10)]
        for connection in held:
            self.assertEqual(connection.ask("/one").body, b"one")
        waiting = worker.connect()
        waiting.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting.socket.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            waiting.read_response()
        held.pop().close()
        waiting.socket.settimeout(PATIENCE)
        self.assertEqual(waiting.read_response().body, b"one")
        for connection in [*held, waiting]:
            connection.close()

    def test_pipelining(self):
        worker = self.worker()
        worker.serve(one="one", path="path")
        with worker.connect() as connection:
            connection.send("".join("GET /path?%d HTTP/1.1\r\nHost: a\r\n\r\n" % index for index in range(500)))
            for index in range(500):
                self.assertEqual(connection.read_response().body, b"/path?%d" % index)


class Life(Case):
    def test_nothing_is_accepted_before_the_first_routes(self):
        worker = self.worker()
        worker.tell("pid") # it listens by now
        with worker.connect() as connection:
            connection.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            worker.serve(one="one")
            self.assertEqual(connection.read_response().body, b"one")

    def test_stop(self):
        worker = self.worker()
        worker.serve(one="one", busy="busy")
        idle = [worker.connect() for _ in range(5)]
        for connection in idle[:3]:
            self.assertEqual(connection.ask("/one").body, b"one")
        self.assertEqual(worker.ask("/busy").body, b"done")
        busy = [worker.connect() for _ in range(5)]
        for connection in busy:
            connection.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)
        ended = []
        stopper = threading.Thread(target=lambda: ended.append(worker.stop()))
        stopper.start()
        for connection in idle:
            self.assertTrue(connection.is_closed_within(5))
            connection.close()
        for connection in busy:
            self.assertEqual(connection.read_response().body, b"done")
            self.assertTrue(connection.is_closed_within(5))
            connection.close()
        stopper.join(PATIENCE)
        self.assertEqual(ended, [0])

    def test_stop_is_bounded(self):
        worker = self.worker(stop_ms=300, idle_ms=60000)
        worker.serve(one="one")
        with worker.connect() as connection:
            connection.send("POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx")
            time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(worker.stop(), 0)
            self.assertLess(time.monotonic() - began, 20)

    def test_no_memory_grows(self):
        """Errors, files, reloads: the process does not grow with what it has done."""
        worker = self.worker(cpu_ms=20)
        with open(os.path.join(worker.root, "_default", "file.bin"), "wb") as stream:
            stream.write(b"x" * 300000)
        sizes = []
        sanitized = "libasan" in worker.maps() # keeps what was freed
        for _ in range(4):
            for guest in ("one", "two") * 5:
                worker.serve(f=guest, trap="trap", spin="spin")
                with worker.connect() as connection:
                    for path in ("/f", "/trap", "/file.bin", "/none", "/f"):
                        for _ in range(10):
                            connection.ask(path)
            with open("/proc/%s/statm" % worker.tell("pid"), encoding="ascii") as stream:
                sizes.append(int(stream.read().split()[1]))
        if not sanitized:
            self.assertLess(sizes[-1] - sizes[1], 1000, sizes) # pages
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main(verbosity=2)
