"""What a client sees when a function behaves badly, and that the next request finds a server that does not."""
import os
import re
import socket
import threading
import time

import e2e
import guests

WASM = guests.module


class Behaviour(e2e.Case):
    limits = {"cpu_ms": 300, "wall_ms": 3000, "response_body_bytes": 1048576, "memory_pages": 64,
              "request_body_bytes": 100000, "function_concurrency": 2, "queue_length": 0}

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))
        server.put("created.wasm", guests.answer("made", status=201))
        for name in ("TRAP", "PANIC", "BEYOND", "STORE_BEYOND", "DIVIDE", "LOOP", "FILL_LOOP", "RECURSE", "GROW",
                     "STATE", "TWICE", "STATUS_OUT_OF_RANGE", "HEADER_FLOOD", "ECHO_PATH", "ECHO_BODY"):
            server.put(name.lower().replace("_", "-") + ".wasm", WASM(getattr(guests, name)))
        for name, text in guests.WILD.items():
            server.put("wild/%s.wasm" % name, WASM(text))
        for name, text in guests.DEEP.items():
            server.put("deep/%s.wasm" % name, WASM(text))
        server.put("flood.wasm", guests.big(1048577))
        server.put("full.wasm", guests.big(1048576))
        server.put("busy.wasm", guests.busy(150))
        server.put("brief.wasm", guests.busy(20))

    def get_when_built(self, path):
        """The first answer that is not "still building"."""
        return self.server.until(lambda: (lambda r: r if r.status not in (503, 404) else None)(self.server.ask(path)),
                                 "%s is built" % path)

    def assert_others_served(self):
        response = self.server.ask("/ok.wasm")
        self.assert_status(response, 200)
        self.assertEqual(response.body, b"fine")

    def assert_fails(self, path, status):
        """Three times, each with an id that the log has too, and the rest of the server goes on."""
        self.server.wait_for("/ok.wasm")
        self.get_when_built(path)
        ids = set()
        for _ in range(3):
            response = self.server.ask(path)
            self.assert_status(response, status)
            self.assertNotIn(b"secret", response.body)
            found = re.findall(rb"\b[0-9a-f]{8,}\b", response.body)
            self.assertTrue(found, "an error id in %r" % response.body)
            ids.add(found[0].decode())
            self.assert_others_served()
        self.assertEqual(len(ids), 3, "each failure has an id of its own")
        for error_id in ids:
            self.server.until(lambda: error_id in self.server.log_text(), "error id %s is logged" % error_id, 10)

    def test_answers(self):
        self.server.wait_for("/ok.wasm", body=b"fine")
        self.assertEqual(self.server.wait_for("/created.wasm", 201).body, b"made")

    def test_unreachable(self):
        self.assert_fails("/trap.wasm", 502)

    def test_panic_keeps_its_message_from_the_client(self):
        self.assert_fails("/panic.wasm", 502)
        self.assertIn("secret", self.server.log_text())

    def test_load_and_store_out_of_bounds(self):
        self.assert_fails("/beyond.wasm", 502)
        self.assert_fails("/store-beyond.wasm", 502)

    def test_division_by_zero(self):
        self.assert_fails("/divide.wasm", 502)

    def test_endless_loops(self):
        self.assert_fails("/loop.wasm", 504)
        self.assert_fails("/fill-loop.wasm", 504)

    def test_endless_recursion(self):
        self.assert_fails("/recurse.wasm", 502)

    def test_host_calls_on_a_full_stack(self):
        """Whatever little is left of a guest's stack when it calls the host: that ends the request, not the worker."""
        self.server.wait_for("/ok.wasm")
        for name in guests.DEEP:
            self.get_when_built("/deep/%s.wasm?1" % name)
        fits, beyond = 1, 1 << 20
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            if self.server.ask("/deep/none.wasm?%d" % middle).status == 200:
                fits = middle
            else:
                beyond = middle
        self.assertGreater(fits, 1000)
        for name in ("call", "allocate", "grow"):
            for depth in [fits - 100 * i for i in range(1, 50)] + list(range(fits - 99, fits + 4)):
                with self.subTest(name, depth=depth):
                    self.assert_status(self.server.ask("/deep/%s.wasm?%d" % (name, depth)), 502)
            self.assert_others_served()

    def test_response_body_over_the_limit(self):
        self.assert_fails("/flood.wasm", 502)
        self.assertEqual(len(self.get_when_built("/full.wasm").body), 1048576)

    def test_response_headers_over_the_limit(self):
        self.assert_fails("/header-flood.wasm", 502)

    def test_wild_pointers(self):
        for name in guests.WILD:
            with self.subTest(name):
                self.assert_fails("/wild/%s.wasm" % name, 502)

    def test_one_host_function_imported_twice(self):
        self.assert_status(self.get_when_built("/twice.wasm"), 200)

    def test_invalid_statuses_are_refused_to_the_guest(self):
        self.assert_status(self.get_when_built("/status-out-of-range.wasm"), 200)

    def test_memory_grows_to_the_limit(self):
        for _ in range(3):
            self.assertEqual(int.from_bytes(self.get_when_built("/grow.wasm").body, "little"), 64)

    def test_every_request_starts_afresh(self):
        for _ in range(50):
            self.assertEqual(self.get_when_built("/state.wasm").body, b"A)1")

    def test_request_body(self):
        self.get_when_built("/echo-body.wasm")
        for size in (0, 1, 1000, 100000):
            body = b"\x00\xff0123456789abcdef"[:16] * (size // 16 + 1)
            response = self.server.ask("/echo-body.wasm", method="POST", body=body[:size])
            self.assert_status(response, 200)
            self.assertEqual(response.body, body[:size])

    def test_request_body_over_the_limit(self):
        self.get_when_built("/echo-body.wasm")
        head = "POST /echo-body.wasm HTTP/1.1\r\nHost: localhost\r\n"
        # By its own account, and chunk by chunk without one.
        with e2e.Connection(self.server.port) as connection:
            connection.send(head + "Content-Length: 100001\r\n\r\n" + "x" * 100)
            self.assert_status(connection.read_response(), 413)
        with e2e.Connection(self.server.port) as connection:
            connection.send(head + "Transfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(30):
                    connection.send("1000\r\n" + "y" * 4096 + "\r\n")
                connection.send("0\r\n\r\n")
            except OSError:
                pass # the server need not read all of it
            self.assert_status(connection.read_response(), 413)
        self.assert_others_served()

    def test_concurrency_of_one_function(self):
        self.get_when_built("/busy.wasm")
        connections = [e2e.Connection(self.server.port) for _ in range(6)]
        for connection in connections:
            connection.send("GET /busy.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
        responses = [connection.read_response() for connection in connections]
        for connection in connections:
            connection.close()
        statuses = sorted(response.status for response in responses)
        self.assertEqual(statuses, [200] * 2 + [503] * 4)
        for response in responses:
            if response.status == 503:
                self.assertIsNotNone(response.header("retry-after"))
        self.assert_others_served()

    def test_nothing_waits_for_an_idle_loop(self):
        """A guest that was preempted answers outside the event loop's own turn: what follows must not wait for it."""
        self.get_when_built("/brief.wasm")
        began = time.monotonic()
        with e2e.Connection(self.server.port) as connection:
            for _ in range(60):
                self.assertEqual(connection.ask("/brief.wasm").body, b"done")
        # 60 times 20 ms of work. An idle loop wakes once a second.
        self.assertLess(time.monotonic() - began, 8)

    def test_path_is_given_whole(self):
        self.get_when_built("/echo-path.wasm")
        for path in ("/echo-path.wasm", "/echo-path.wasm?", "/echo-path.wasm?a=b&c", "/echo-path.wasm/", "/echo-path",
                     "/echo-path.wasm/more/path?q=%20x", "/echo-path?x.wasm", "/echo-path.wasm/x.wasm"):
            self.assertEqual(self.server.ask(path).body.decode(), path)

    def test_a_spinner_does_not_hold_up_its_neighbours(self):
        self.server.wait_for("/ok.wasm")
        self.get_when_built("/loop.wasm")
        stop = threading.Event()
        ends = []

        def spin():
            while not stop.is_set():
                ends.append(self.server.ask("/loop.wasm").status)

        thread = threading.Thread(target=spin)
        thread.start()
        try:
            for _ in range(50):
                self.assert_others_served()
        finally:
            stop.set()
            thread.join()
        self.assertEqual(set(ends), {504})


class Building(e2e.Case):
    def test_first_build_still_running(self):
        self.server.put("slow.wasm", guests.slow_to_build())
        response = self.server.until(lambda: (lambda r: r if r.status != 404 else None)(self.server.ask("/slow.wasm")),
                                     "the upload is seen")
        self.assert_status(response, 503)
        self.assertEqual(response.header("retry-after"), "1")
        self.assertIn(b"buil", response.body)
        self.server.wait_for("/slow.wasm")

    def test_never_built_successfully(self):
        refused = {
            "unknown-import": guests.import_of("env", "hostcall_nothing_like_it", ""),
            "wrong-type": guests.import_of("env", "hostcall_debug", "(param i32)"),
            "wrong-kind": WASM('(module (import "env" "hostcall_debug" (memory 1)) (func (export "run")))'),
            "no-run": WASM("(module (memory 1))"),
            "run-takes": WASM('(module (func (export "run") (param i32)))'),
            "memory-over-the-limit": WASM('(module (memory 2049) (func (export "run")))'),
            "c-in-a-name": guests.import_of("env", "*/ system(\\\"id\\\"); /*", ""),
        }
        for name, data in refused.items():
            self.server.put("refused/%s.wasm" % name, data)
        for name in refused:
            with self.subTest(name):
                entry = self.server.wait_for_state("_default/refused/%s.wasm" % name, "refused")
                self.assertTrue(entry["error"]["text"])
                response = self.server.wait_for("/refused/%s.wasm" % name, 502)
                self.assertIn(entry["build_id"].encode(), response.body)
                self.assertNotIn(b"hostcall_", response.body)


class WithoutDefault(e2e.Case):
    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"), site="example.com")
        import os
        os.rmdir(os.path.join(server.root, "_default"))

    def test_no_site_no_function_no_file(self):
        self.server.wait_for("/ok.wasm", host="example.com")
        for host, path in (("other.example", "/ok.wasm"), ("example.com", "/none.wasm"), ("example.com", "/none.txt"),
                           ("example.com", "/"), ("sub.example.com", "/ok.wasm")):
            self.assert_status(self.server.ask(path, host=host), 404)

    def test_host_is_compared_without_port_and_case(self):
        for host in ("example.com", "EXAMPLE.com", "example.com:%d" % self.server.port, "example.com."):
            self.assertEqual(self.server.wait_for("/ok.wasm", host=host).body, b"fine")

    def test_a_connection_without_a_request_is_in_nobodys_way(self):
        self.server.wait_for("/ok.wasm", host="example.com")
        with socket.create_connection(("127.0.0.1", self.server.port)):
            self.assert_status(self.server.ask("/ok.wasm", host="example.com"), 200)


class Images(e2e.Case):
    """What functions start from is memory; a worker holds so much of it and no more, however many are loaded."""
    limits = {"image_bytes": 134217728}

    def held(self):
        """Bytes of start images in the server's processes."""
        total = 0
        for pid in e2e.descendants(self.server.process.pid):
            try:
                descriptors = os.listdir("/proc/%d/fd" % pid)
            except OSError:
                continue # a compiler that ended meanwhile
            for descriptor in descriptors:
                path = "/proc/%d/fd/%s" % (pid, descriptor)
                try:
                    if "terrafirma-image" in os.readlink(path):
                        total += os.stat(path).st_size
                except OSError:
                    pass # closed meanwhile
        return total

    def test_images_are_bounded(self):
        at = 50 << 20
        # Of an image that is mostly zeros only the rest is kept, unless that is too much.
        pages = " ".join('(data (i32.const %d) "x")' % (4096 * page) for page in range(1, 32))
        for i in range(4):
            self.server.put("%d.wasm" % i, WASM(guests.wat(["body"], """
                (drop (call $body (i32.const 0) (i32.const %d) (i32.const 1)))""" % at,
                pages + '(data (i32.const %d) "%d")' % (at, i), pages=1024)))
        most = 0
        for i in list(range(4)) + [3, 0, 2, 1]:
            self.assertEqual(self.server.wait_for("/%d.wasm" % i).body, b"%d" % i)
            most = max(most, self.held())
        self.assertGreater(most, at)
        self.assertLessEqual(most, 134217728)


if __name__ == "__main__":
    e2e.main()
