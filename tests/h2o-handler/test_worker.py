"""A worker on artifacts made by hand: routes, loading, what it remembers, queues."""
import os
import signal
import socket
import threading
import time
import unittest

from worker import Case


class Functions(Case):
    def test_answers(self):
        worker = self.worker()
        worker.serve(one="one", path="path", body="body", names="names", empty="empty", large="large")
        response = worker.ask("/one.wasm")
        self.assertEqual((response.status, response.body), (200, b"one"))
        self.assertEqual(response.header("content-type"), "text/plain")
        self.assertEqual(worker.ask("/one").body, b"one")
        self.assertEqual(worker.ask("/one.wasm/more?q=1").body, b"one")
        for raw, seen in (("/path.wasm?", "/path.wasm?"), ("/path.wasm/a%2fb/../c?d", "/path.wasm/a%2fb/../c?d"),
                          ("/path?x={}`|", "/path?x={}`|"),
                          ("/path.wasm/{}`\"<>?\"<>", "/path.wasm/%7B%7D%60%22%3C%3E?%22%3C%3E"),
                          ("/path.wasm/\xc3\xbc", "/path.wasm/%C3%BC")):
            self.assertEqual(worker.ask(raw).body.decode(), seen)
        body = os.urandom(100000)
        self.assertEqual(worker.ask("/body.wasm", method="POST", body=body).body, body)
        self.assertEqual(worker.ask("/body.wasm").body, b"")
        self.assertEqual(len(worker.ask("/large").body), 1 << 20)
        with worker.connect() as connection: # a response without a body leaves the connection usable
            for _ in range(3):
                response = connection.ask("/empty.wasm")
                self.assertEqual((response.status, response.header("content-length")), (204, None))
                response = connection.ask("/one.wasm", method="HEAD")
                self.assertEqual((response.header("content-length"), response.body), ("3", b""))
                self.assertEqual(connection.ask("/one.wasm").body, b"one")

    def test_headers_of_the_connection_stay_out(self):
        worker = self.worker()
        worker.serve(names="names")
        names = worker.ask("/names.wasm", headers=[
            ("Connection", "keep-alive, X-Mine"), ("X-Mine", "1"), ("Keep-Alive", "5"), ("TE", "trailers"),
            ("Upgrade", "h2c"), ("Proxy-Connection", "x"), ("Fastly-Client-IP", "1.2.3.4"), ("Accept", "*/*"),
            ("X-Kept", "1"), ("Cookie", "a"), ("Cookie", "b")]).body.decode().split()
        self.assertEqual(sorted(names), ["accept", "cookie", "fastly-client-ip", "host", "x-fastly-client-ip",
                                         "x-kept"])

    def test_headers_that_are_the_hosts(self):
        worker = self.worker()
        worker.serve(rude="rude")
        with worker.connect() as connection:
            for _ in range(2):
                response = connection.ask("/rude.wasm")
                self.assertEqual((response.status, response.body), (200, b"the whole body"))
                names = [name for name, _ in response.headers]
                self.assertEqual(sorted(names), ["connection", "content-length", "date", "set-cookie", "x-kept"])
                self.assertEqual(response.header("connection"), "keep-alive")
                self.assertNotEqual(response.header("date"), "yesterday")

    def test_states(self):
        worker = self.worker()
        worker.publish({"_default": {"b.wasm": "building", "f.wasm": "failed", "r.wasm": "refused"}})
        response = worker.ask("/b.wasm")
        self.assertEqual((response.status, response.header("retry-after")), (503, "1"))
        self.assertIn(b"being built", response.body)
        for path in ("/f.wasm", "/r", "/f.wasm/x"):
            response = worker.ask(path)
            self.assertEqual(response.status, 502)
            self.assertIn(b"00000000deadbeef", response.body)
        self.assertEqual(worker.ask("/none.wasm").status, 404)

    def test_sites(self):
        worker = self.worker()
        worker.publish({"_default": {"f.wasm": "one"}, "a.example": {"f.wasm": "two"}})
        for host, body in (("a.example", b"two"), ("A.Example:80", b"two"), ("b.example", b"one"), ("[::1]", b"one")):
            self.assertEqual(worker.ask("/f", host=host).body, body)
        for host in ("private", "_default", "a/b", "..", ""):
            self.assertIn(worker.ask("/f", host=host).status, (400, 404), host)
        worker.publish({"a.example": {"f.wasm": "two"}})
        self.assertEqual(worker.ask("/f", host="b.example").status, 404)
        with worker.connect() as connection:
            connection.send("GET /f HTTP/1.0\r\n\r\n")
            self.assertEqual(connection.read_response().status, 404)

    def test_bad_ends(self):
        worker = self.worker(cpu_ms=50)
        worker.serve(trap="trap", spin="spin", early="early", one="one")
        for _ in range(3):
            self.fails(worker, "/trap.wasm", 502)
            self.fails(worker, "/spin.wasm", 504)
            self.fails(worker, "/early.wasm", 502)
            self.assertEqual(worker.ask("/one.wasm").body, b"one")
        self.assertIn("unreachable", worker.log_text())

    def test_what_a_guest_says_is_escaped(self):
        worker = self.worker()
        worker.serve(says="says")
        worker.ask("/says.wasm")
        worker.until(lambda: "_default/says.wasm: debug: a line\\nwith \\x1b[2J in it\n" in worker.log_text(),
                     "the line")


class Remembered(Case):
    """What a host and a path mean is remembered: never longer than it is true, and never for another spelling."""

    def ask(self, worker, path, host="a.example", **arguments):
        response = worker.ask(path, host=host, **arguments)
        return (response.status, response.body)

    def test_spellings(self):
        worker = self.worker()
        worker.publish({"a.example": {"f.wasm": "one", "p.wasm": "path"}, "b.example": {"f.wasm": "two"}})
        for _ in range(3):
            for host in ("a.example", "A.Example", "a.example:80", "a.example."):
                self.assertEqual(self.ask(worker, "/f.wasm", host), (200, b"one"))
                self.assertEqual(self.ask(worker, "/f.wasm?x=1", host), (200, b"one"))
                self.assertEqual(self.ask(worker, "/f.wasm", host, method="HEAD"), (200, b""))
                self.assertEqual(self.ask(worker, "/f", host), (200, b"one"))
                self.assertEqual(self.ask(worker, "/%66.wasm", host), (200, b"one"))
                self.assertEqual(self.ask(worker, "/F.wasm", host)[0], 404)
            self.assertEqual(self.ask(worker, "/f.wasm", "b.example"), (200, b"two"))
            self.assertEqual(self.ask(worker, "/f.wasm", "c.example")[0], 404)
            self.assertIn(self.ask(worker, "/f.wasm", "a.example/")[0], (400, 404))
            # The guest sees its own request, not the one that was remembered.
            for query in ("?x=1", "?x=2", ""):
                self.assertEqual(self.ask(worker, "/p.wasm" + query), (200, ("/p.wasm" + query).encode()))

    def test_one_connection(self):
        """Nor for another host or path than the connection's last; and a guest's query is always the request's own."""
        worker = self.worker()
        worker.publish({"a.example": {"f.wasm": "one", "p.wasm": "path"}, "b.example": {"f.wasm": "two"}})
        paths = (("/p.wasm", "/p.wasm"), ("/p.wasm?\"{", "/p.wasm?%22{"), ("/p.wasm/{}", "/p.wasm/%7B%7D"),
                 ("/p.wasm/{}?{<", "/p.wasm/%7B%7D?{%3C"), ("/p.wasm/{}?x", "/p.wasm/%7B%7D?x"),
                 ("/p.wasm?", "/p.wasm?"))
        with worker.connect() as connection:
            for _ in range(3):
                for raw, seen in paths:
                    for _ in range(2):
                        self.assertEqual(connection.ask(raw, host="a.example").body.decode(), seen)
                for host, path, body in (("a.example", "/f.wasm", b"one"), ("b.example", "/f.wasm", b"two"),
                                         ("b.example", "/f.wasm?1", b"two"), ("a.example", "/f.wasm", b"one")):
                    self.assertEqual(connection.ask(path, host=host).body, body)
                self.assertEqual(connection.ask("/f.wasm", host="c.example").status, 404)
                self.assertEqual(connection.ask("/p.wasm", host="b.example").status, 404)

    def test_a_new_generation(self):
        worker = self.worker()
        worker.publish({"a.example": {"f.wasm": "one"}})
        for functions, expected in (({"f.wasm": "two"}, 200), ({"f.wasm": "building"}, 503), ({"f.wasm": "one"}, 200),
                                    ({}, 404), ({"f.wasm": "two"}, 200), ({"f.wasm": "failed"}, 502)):
            for _ in range(2):
                self.ask(worker, "/f.wasm")
            worker.publish({"a.example": functions})
            for _ in range(2):
                status, body = self.ask(worker, "/f.wasm")
                self.assertEqual(status, expected)
                if status == 200:
                    self.assertEqual(body.decode(), functions["f.wasm"])
        worker.publish({"b.example": {"f.wasm": "one"}}) # the site itself is gone, and comes back
        self.assertEqual(self.ask(worker, "/f.wasm")[0], 404)
        worker.publish({"a.example": {"f.wasm": "two"}, "b.example": {"f.wasm": "one"}})
        self.assertEqual(self.ask(worker, "/f.wasm"), (200, b"two"))

    def test_one_artifact_at_two_sites(self):
        """Each is counted for itself: the limit of one site's concurrency is not the other's."""
        worker = self.worker(site_concurrency=1, cpu_ms=60000, wall_ms=60000, queue_length=1)
        worker.publish({"a.example": {"s.wasm": "spin", "f.wasm": "one"}, "b.example": {"f.wasm": "one"}})
        for _ in range(2):
            self.assertEqual(self.ask(worker, "/f.wasm", "a.example"), (200, b"one"))
            self.assertEqual(self.ask(worker, "/f.wasm", "b.example"), (200, b"one"))
        with worker.connect() as spinner, worker.connect() as waiter:
            spinner.send("GET /s.wasm HTTP/1.1\r\nHost: a.example\r\n\r\n")
            time.sleep(0.2)
            waiter.send("GET /f.wasm HTTP/1.1\r\nHost: a.example\r\n\r\n")
            worker.until(lambda: self.ask(worker, "/f.wasm", "a.example")[0] == 503, "the site is full")
            self.assertEqual(self.ask(worker, "/f.wasm", "b.example"), (200, b"one"))

    def test_functions_that_make_room_for_others(self):
        """With two slots only the latest two stay loaded: what is remembered of the others goes with them."""
        worker = self.worker(slots=2)
        worker.publish({"a.example": {"f0.wasm": "one", "f1.wasm": "two", "f2.wasm": "path"}})
        for _ in range(5):
            for path, body in (("/f0.wasm", b"one"), ("/f1.wasm", b"two"), ("/f2.wasm", b"/f2.wasm"),
                               ("/f0.wasm", b"one")):
                for _ in range(2):
                    self.assertEqual(self.ask(worker, path), (200, body))


class Loading(Case):
    def test_an_artifact_that_is_not_there(self):
        worker = self.worker()
        worker.publish({"_default": {"gone.wasm": ("live", "0" * 64), "one.wasm": "one"}})
        self.fails(worker, "/gone.wasm", 502)
        self.assertEqual(worker.ask("/gone.wasm").status, 502) # not tried again at once
        self.assertEqual(worker.ask("/one.wasm").body, b"one")

    def test_a_damaged_artifact(self):
        worker = self.worker()
        key = worker.key("one")
        for folder, _, names in os.walk(worker.cache):
            for name in names:
                if name.endswith(".so"):
                    path = os.path.join(folder, name)
                    os.chmod(path, 0o644)
                    with open(path, "r+b") as stream:
                        stream.seek(0x200)
                        stream.write(b"\xcc" * 64)
        worker.publish({"_default": {"one.wasm": ("live", key)}})
        self.fails(worker, "/one.wasm", 502)

    def test_a_new_version_replaces_the_old_and_unmaps_it(self):
        worker = self.worker()
        for round_number in range(6):
            name = ("one", "two")[round_number % 2]
            worker.publish({"_default": {"f.wasm": name}})
            self.assertEqual(worker.ask("/f.wasm").body, name.encode())
        # Of an object in the cache's folder, one is left.
        worker.until(lambda: len({line.split()[-1] for line in worker.maps().split("\n")
                                  if worker.cache in line and "module.so" in line}) == 1, "one module is mapped")
        worker.publish({"_default": {}})
        worker.until(lambda: "module.so" not in worker.maps(), "none is mapped")
        self.assertEqual(worker.ask("/f.wasm").status, 404)

    def test_descriptors_are_the_loops_own(self):
        """What makes its calls cheap; and the threads beside it find and close theirs all the same."""
        worker = self.worker()
        worker.serve(one="one")
        folder = os.path.join(worker.root, "_default")
        with open(os.path.join(folder, "plain.txt"), "w", encoding="ascii") as stream:
            stream.write("plain")
        os.symlink("plain.txt", os.path.join(folder, "link.txt"))
        loop = worker.tell("pid")

        def table(thread):
            place = "/proc/%s/task/%s/fd" % (loop, thread)
            return {os.readlink(os.path.join(place, name)) for name in os.listdir(place)}

        others = [thread for thread in os.listdir("/proc/%s/task" % loop) if thread != loop]
        self.assertGreater(len(others), 1)
        self.assertEqual(worker.ask("/link.txt").body, b"plain")
        before = [table(thread) for thread in others]
        with worker.connect() as connection:
            for _ in range(20):
                self.assertEqual(connection.ask("/one.wasm").body, b"one")
                self.assertEqual(connection.ask("/link.txt").body, b"plain")
            mine = table(loop)
            self.assertEqual([table(thread) for thread in others], before)
        for theirs in before:
            self.assertTrue(any(name.startswith("socket:") for name in mine - theirs), mine - theirs)
        self.assertEqual(worker.stop(), 0)

    def test_requests_in_flight_end_on_their_version(self):
        worker = self.worker()
        worker.serve(f="busy")
        self.assertEqual(worker.ask("/f.wasm").body, b"done")
        with worker.connect() as connection:
            connection.send("GET /f.wasm HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.05)
            worker.serve(f="one")
            self.assertEqual(worker.ask("/f.wasm").body, b"one")
            self.assertEqual(connection.read_response().body, b"done")

    def test_overwrite_under_load(self):
        worker = self.worker()
        worker.serve(f="one")
        stop, seen, wrong = threading.Event(), set(), []

        def client():
            with worker.connect() as connection:
                while not stop.is_set():
                    response = connection.ask("/f.wasm")
                    seen.add(response.body)
                    if response.status != 200:
                        wrong.append(response)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for round_number in range(40):
            worker.serve(f=("two", "one")[round_number % 2])
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual((seen, wrong[:3]), ({b"one", b"two"}, []))
        self.assertEqual(worker.ask("/f.wasm").body, b"one")

    def test_more_functions_than_slots(self):
        worker = self.worker(slots=2)
        names = ("one", "two", "path", "body", "names", "rude")
        worker.serve(**{name: name for name in names})
        for _ in range(3):
            for name in names:
                self.assertEqual(worker.ask("/%s.wasm" % name).status, 200, name)
        worker.until(lambda: worker.maps().count("module.so") <= 3 * 5, "the idle ones are unmapped")

    def test_routes_that_are_damaged_or_gone(self):
        worker = self.worker()
        worker.serve(f="one")
        self.assertEqual(worker.ask("/f").body, b"one")
        roots = os.path.join(worker.cache, "roots")
        folder = os.path.join(roots, os.listdir(roots)[0])
        os.mkdir(os.path.join(folder, "aside"))
        os.rename(os.path.join(folder, "gen-1"), os.path.join(folder, "aside", "gen-1"))
        # A generation that never was: what is there goes on serving.
        worker.tell("publish 2", "site _default", ".")
        worker.until(lambda: int(worker.tell("ack")) == 2, "generation 2")
        self.assertEqual(worker.ask("/f").status, 404)


class Queues(Case):
    def together(self, worker, path, count):
        connections = [worker.connect() for _ in range(count)]
        for connection in connections:
            connection.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        responses = [connection.read_response() for connection in connections]
        for connection in connections:
            connection.close()
        return sorted(response.status for response in responses)

    def test_all_get_a_turn(self):
        worker = self.worker(slots=2, wall_ms=20000)
        worker.serve(busy="busy")
        self.assertEqual(self.together(worker, "/busy.wasm", 9), [200] * 9)

    def test_concurrency_of_one_function(self):
        worker = self.worker(function_concurrency=2, wall_ms=20000)
        worker.serve(busy="busy")
        self.assertEqual(self.together(worker, "/busy.wasm", 7), [200] * 7)

    def test_beyond_the_queue(self):
        worker = self.worker(function_concurrency=2, queue_length=1)
        worker.serve(busy="busy")
        worker.until(lambda: worker.ask("/busy.wasm").status == 200, "it is loaded")
        self.assertEqual(self.together(worker, "/busy.wasm", 6), [200] * 3 + [503] * 3)
        worker = self.worker(slots=1, queue_length=0)
        worker.serve(busy="busy")
        worker.until(lambda: worker.ask("/busy.wasm").status == 200, "it is loaded")
        self.assertEqual(self.together(worker, "/busy.wasm", 4), [200] + [503] * 3)

    def test_waiting_has_an_end(self):
        worker = self.worker(function_concurrency=1, cpu_ms=600000, wall_ms=500)
        worker.serve(spin="spin", one="one")
        statuses = self.together(worker, "/spin.wasm", 4)
        self.assertEqual(set(statuses), {503, 504})
        self.assertEqual(worker.ask("/one.wasm").body, b"one")

    def test_a_spinner_does_not_hold_up_its_neighbours(self):
        worker = self.worker(cpu_ms=1500)
        worker.publish({"_default": {"one.wasm": "one", "spin.wasm": "spin"}, "b.example": {"one.wasm": "one"}})
        self.assertEqual(worker.ask("/one").body, b"one")
        spinners = [worker.connect() for _ in range(4)]
        for connection in spinners:
            connection.send("GET /spin.wasm HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(20):
            self.assertEqual(worker.ask("/one.wasm", host="b.example").body, b"one")
            self.assertEqual(worker.ask("/one.wasm").body, b"one")
        for connection in spinners:
            self.assertEqual(connection.read_response().status, 504)
            connection.close()

    def test_clients_that_leave(self):
        """Requests whose clients are gone are worked off or dropped; nothing of them is left."""
        worker = self.worker(slots=4, cpu_ms=100, wall_ms=2000)
        worker.serve(spin="spin", large="large", one="one")
        for path in ("/spin.wasm", "/large.wasm", "/one.wasm") * 10:
            connection = worker.connect(receive_buffer=4096)
            connection.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        worker.until(lambda: worker.ask("/one.wasm").status == 200, "it serves again")
        worker.until(lambda: len(os.listdir("/proc/%s/fd" % worker.tell("pid"))) < 40, "descriptors are closed")
        self.assertEqual(worker.stop(), 0)

    def test_a_stop_while_functions_load(self):
        """Whose clients have gone already, so that nothing is waited for; and new routes are being read."""
        for _ in range(6):
            worker = self.worker()
            names = ["f%d.wasm" % i for i in range(16)]
            worker.publish({"_default": {name: i for i, name in enumerate(names)}})
            worker.key(len(names))
            for name in names:
                connection = worker.connect()
                connection.send("GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % name)
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
            worker.publish({"_default": {name: i + 1 for i, name in enumerate(names)}}, wait=False)
            self.assertEqual(worker.stop(), 0, worker.log_text())


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main(verbosity=2)
