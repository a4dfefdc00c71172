"""Tenants that take all the memory they get, on a worker that has little: it lives, others are served, and what they
took is given back."""
import json
import subprocess
import threading
import time

import e2e
import guests

MIB = 1 << 20
WORKER, SITE = 64 * MIB, 24 * MIB
HOARDERS = ("a.test", "b.test", "c.test")
CLIENTS = 8 # of each hoarder

# As much as there is, a page of each step written, then on and on.
HOARD = guests.wat([], """(local i32)
    (loop $l
      (local.set 0 (memory.grow (i32.const 16)))
      (if (i32.ne (local.get 0) (i32.const -1)) (then
        (i32.store (i32.mul (local.get 0) (i32.const 65536)) (i32.const 1))
        (br $l))))
    (loop $l (br $l))""")
# As much as there is, every byte written; answers with what it got, in pages.
FILL = guests.wat(["body"], """(local i32)
    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536)))
    (i32.store (i32.const 0) (memory.size))
    (drop (call $body (i32.const 0) (i32.const 0) (i32.const 4)))""")


class Hoarding(e2e.Case):
    limits = {"worker_memory_bytes": WORKER, "site_memory_bytes": SITE, "cpu_ms": 3000, "wall_ms": 2000,
              "queue_length": 4}

    @classmethod
    def prepare(cls, server):
        server.put("hello.wasm", guests.answer("fine"))
        server.put("grow.wasm", guests.module(guests.GROW))
        for site in HOARDERS:
            server.put("hoard.wasm", guests.module(HOARD), site)
            server.put("fill.wasm", guests.module(FILL), site)
            server.put("large.wasm", guests.module(guests.wat([], "(loop $l (br $l))", pages=160)), site)

    def facts(self):
        result = subprocess.run([e2e.PROGRAM, "status", "--json", "--root", self.server.root, "--cache",
                                 self.server.cache], stdout=subprocess.PIPE, check=True)
        workers = (json.loads(result.stdout).get("metrics") or {}).get("workers") or [{}]
        return workers[0].get("facts") or {}

    def clients(self, path, until, statuses):
        def run(site):
            while time.monotonic() < until:
                with e2e.Connection(self.server.port) as connection:
                    response = connection.ask(path, host=site)
                statuses.append((response.status, response.header("retry-after")))

        threads = [threading.Thread(target=run, args=(site,), daemon=True) for site in HOARDERS for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def attack(self, path, seconds=5):
        """Whether hello was served throughout; what the attackers got; the most memory that was seen in use."""
        statuses, most, hellos = [], 0, []
        before = self.server.worker_pids()
        threads = self.clients(path, time.monotonic() + seconds, statuses)
        while any(thread.is_alive() for thread in threads):
            response = self.server.ask("/hello.wasm")
            hellos.append(response.status)
            most = max(most, self.facts().get("memory_bytes", 0))
        for thread in threads:
            thread.join()
        self.assertEqual(set(hellos), {200})
        self.assertLessEqual(most, WORKER)
        self.assertEqual(self.server.worker_pids(), before, "the worker lives")
        self.assertTrue(all(retry for status, retry in statuses if status == 503), "503 says when to come again")
        return statuses, most

    def assert_given_back(self):
        """Whoever wants memory gets it again: idle memories give way."""
        response = self.server.ask("/grow.wasm")
        self.assert_status(response, 200)
        self.assertGreaterEqual(int.from_bytes(response.body, "little") * 65536, SITE - 4 * MIB)
        self.server.until(lambda: self.facts().get("memory_soiled_bytes") == 0, "all is put back", 20)

    def test_hoarders(self):
        self.server.wait_for("/hello.wasm")
        self.server.wait_for("/grow.wasm")
        for site in HOARDERS:
            self.server.wait_for("/hoard.wasm", host=site, status=504)
        statuses, most = self.attack("/hoard.wasm")
        self.assertLessEqual({status for status, _ in statuses}, {504, 503})
        self.assertIn(504, {status for status, _ in statuses})
        self.assertGreater(most, WORKER // 2, "the test reaches the budget")
        self.assertEqual(self.facts().get("memory_bytes_max"), WORKER)
        self.assertGreater(self.facts().get("memory_refused"), 0)
        self.assert_given_back()

    def test_fillers(self):
        self.server.wait_for("/hello.wasm")
        self.server.wait_for("/grow.wasm")
        for site in HOARDERS:
            self.server.wait_for("/fill.wasm", host=site)
        statuses, _ = self.attack("/fill.wasm")
        self.assertLessEqual({status for status, _ in statuses}, {200, 503, 504})
        self.assertIn(200, {status for status, _ in statuses})
        self.assert_given_back()

    def test_large_from_the_start(self):
        self.server.wait_for("/hello.wasm")
        for site in HOARDERS:
            self.server.wait_for("/large.wasm", host=site, status=504)
        statuses, _ = self.attack("/large.wasm")
        self.assertLessEqual({status for status, _ in statuses}, {503, 504})
        self.assertIn(503, {status for status, _ in statuses})
        self.assert_given_back()


if __name__ == "__main__":
    e2e.main()
