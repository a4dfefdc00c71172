"""What becomes of functions that end workers, of sites that want more than their share, and of requests whose clients
went away."""
import json
import os
import signal
import threading
import time

import e2e
import guests
import observe


class Crashes(e2e.Case):
    workers = 1
    limits = {"cpu_ms": 60000, "wall_ms": 60000}
    config = "quarantine:\n  first_s: 4\n"

    @classmethod
    def prepare(cls, server):
        server.crashes = True
        server.put("ok.wasm", guests.answer("fine"))
        server.put("loop.wasm", guests.module(guests.LOOP))
        server.put("same.wasm", guests.module(guests.LOOP), site="a.example")

    def abort_during(self, path):
        """SIGABRT to the worker while it computes `path`. The request is lost, and nothing else."""
        server = self.server
        pid = server.worker_pids()[0]
        connection = e2e.Connection(server.port)
        connection.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        before = observe.cpu_ticks(pid)
        server.until(lambda: observe.cpu_ticks(pid) > before + 20, "it computes", 20)
        os.kill(pid, signal.SIGABRT)
        self.assertTrue(connection.is_closed_within(10))
        connection.close()
        server.until(lambda: server.worker_pids() not in ([], [pid]), "another worker is there", 10)
        server.wait_for("/ok.wasm", body=b"fine", seconds=20)

    def test_quarantine(self):
        server = self.server
        server.wait_for("/ok.wasm")
        observe.wait_until_it_runs(server, "/loop.wasm")
        key = server.functions()["_default/loop.wasm"]["key"]
        for number in range(3):
            self.assertNotIn("quarantine for", server.log_text())
            self.abort_during("/loop.wasm")
            told = "died while it ran _default/loop.wasm (artifact %s)" % key[:12]
            server.until(lambda wanted=number + 1: server.log_text().count(told) == wanted, "it is told", 10)
        told = "_default/loop.wasm (artifact %s) is in quarantine for 4 s" % key[:12]
        server.until(lambda: told in server.log_text(), "the function is in quarantine", 10)
        with e2e.Connection(server.port, timeout=20) as connection:
            response = connection.ask("/loop.wasm?held")
        self.assert_status(response, 503)
        self.assertIn(int(response.header("retry-after")), range(1, 5))
        error = response.body.decode().split()[-1].strip(".")
        server.until(lambda: error in observe.program("logs", "_default/loop.wasm", "--cache", server.cache).stdout,
                     "its log tells why", 20)
        self.assertEqual(observe.line_of(server, "/loop.wasm?held")["error"], error)
        # It is the code that is held, whatever its name; and nothing but that.
        self.assert_status(server.ask("/same.wasm", host="a.example"), 503)
        self.assert_status(server.ask("/ok.wasm"), 200)

        report = json.loads(observe.program("status", "--cache", server.cache, "--json").stdout)["server"]
        self.assertEqual([(row["function"], row["key"], row["times"]) for row in report["quarantine"]],
                         [("loop.wasm", key, 1)])
        self.assertEqual([(row["signal"], row["function"]) for row in report["crashes"]], [(6, "loop.wasm")] * 3)
        self.assertEqual(report["workers"][0]["deaths"], 3)
        self.assertIn("quarantine: until ", observe.program("status", "--cache", server.cache).stdout)

        server.until(lambda: "the quarantine of a function is over" in server.log_text(), "it ends", 20)
        self.abort_during("/loop.wasm") # runs again
        server.until(lambda: json.loads(observe.program("status", "--cache", server.cache, "--json").stdout)["server"]
                     ["quarantine"] == [], "status says so", 10)

    def test_idle_deaths_blame_nobody(self):
        with e2e.Server(workers=1) as server:
            server.crashes = True
            server.put("ok.wasm", guests.answer("fine"))
            server.wait_for("/ok.wasm")
            for _ in range(5):
                time.sleep(0.3) # the answer is there before its guest is put back: that still is running it
                pid = server.worker_pids()[0]
                os.kill(pid, signal.SIGABRT)
                server.until(lambda gone=pid: server.worker_pids() not in ([], [gone]), "another is there", 10)
                server.wait_for("/ok.wasm", seconds=20)
            self.assertNotIn("died while it ran", server.log_text())
            self.assertNotIn("in quarantine", server.log_text())


class Bounds(e2e.Case):
    """What one site may hold, and clients that leave."""
    workers = 1
    limits = {"cpu_ms": 20000, "wall_ms": 20000, "site_concurrency": 3, "queue_length": 2}

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))
        server.put("ok.wasm", guests.answer("fine"), site="other.example")
        server.put("loop.wasm", guests.module(guests.LOOP))
        server.put("busy.wasm", guests.busy(300))

    def running(self):
        found = observe.metrics(self.server).get("workers", [{}])[0].get("facts", {})
        return found.get("slots_running"), found.get("waiting")

    def test_clients_that_leave_free_their_guests(self):
        server = self.server
        for path in ("/ok.wasm", "/busy.wasm"):
            server.wait_for(path)
        server.wait_for("/ok.wasm", host="other.example")
        observe.wait_until_it_runs(server, "/loop.wasm")
        server.until(lambda: self.running() == (0, 0), "nothing runs", 20)
        connections = [e2e.Connection(server.port) for _ in range(5)]
        for number, connection in enumerate(connections):
            connection.send("GET /loop.wasm?leaves%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
        # Three run, two wait; one more is too many. Another site does not mind.
        server.until(lambda: self.running() == (3, 2), "three run and two wait", 20)
        response = server.ask("/ok.wasm?full")
        self.assert_status(response, 503)
        self.assertEqual(response.header("retry-after"), "1")
        self.assertEqual(observe.line_of(server, "/ok.wasm?full")["outcome"], "busy")
        self.assert_status(server.ask("/ok.wasm", host="other.example"), 200)
        for connection in connections:
            connection.close()
        server.until(lambda: self.running() == (0, 0), "nothing runs and nothing waits", 10)
        self.assert_status(server.ask("/ok.wasm"), 200)
        for number in range(5):
            line = observe.line_of(server, "/loop.wasm?leaves%d" % number)
            self.assertEqual((line["status"], line["outcome"]), (0, "gone"))

    def test_a_site_is_served_in_order(self):
        """Five at once where three may run: all are answered."""
        self.server.wait_for("/busy.wasm")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.server.ask("/busy.wasm").status))
                   for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(answers, [200] * 5)

    def test_connections_stay_usable(self):
        """A request that waited, answered; then the same connection goes on, and is no longer watched for its end."""
        self.server.wait_for("/busy.wasm")
        with e2e.Connection(self.server.port) as connection:
            for _ in range(3):
                self.assert_status(connection.ask("/busy.wasm"), 200)
                self.assert_status(connection.ask("/ok.wasm"), 200)


if __name__ == "__main__":
    e2e.main()
