"""Processes that are killed: the others go on, and what died comes back."""
import contextlib
import os
import signal
import socket
import time

import e2e
import guests


class Killed(e2e.Case):
    workers = 2

    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))

    def test_a_worker_is_back(self):
        server = self.server
        server.wait_for("/ok.wasm")
        self.assertEqual(len(server.worker_pids()), 2, e2e.descendants(server.process.pid))
        for _ in range(3):
            before = server.worker_pids()
            os.kill(before[0], signal.SIGKILL)
            began = time.monotonic()
            server.until(lambda: len(set(server.worker_pids()) - set(before)) == 1, "a worker took its place", 10)
            # Connections are spread over the listeners: enough of them reach the new worker too.
            for _ in range(32):
                self.assertEqual(server.wait_for("/ok.wasm", seconds=10).body, b"fine")
            took = time.monotonic() - began
            print("a worker was back, and 32 requests answered, %.0f ms after SIGKILL" % (took * 1000))
            self.assertLess(took, 2)
            self.assertEqual(len(server.worker_pids()), 2)

    def test_all_workers_at_once(self):
        server = self.server
        server.wait_for("/ok.wasm")
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        server.wait_for("/ok.wasm", body=b"fine", seconds=10)
        print("the first answer came %.0f ms after all workers were killed" % ((time.monotonic() - began) * 1000))
        server.until(lambda: len(server.worker_pids()) == 2, "both workers are back", 10)

    def test_the_builder_is_back(self):
        server = self.server
        server.wait_for("/ok.wasm")
        workers = set(server.worker_pids())
        builders = [pid for pid in e2e.descendants(server.process.pid) if pid not in workers]
        self.assertTrue(builders, "the builder is a process of its own")
        for pid in builders:
            with contextlib.suppress(ProcessLookupError): # some end with those before them
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(server.ask("/ok.wasm").body, b"fine")
        server.put("later.wasm", guests.answer("later"))
        server.wait_for("/later.wasm", body=b"later")
        self.assertEqual(server.ask("/ok.wasm").body, b"fine")

    def test_restart_after_sigkill_of_everything(self):
        with e2e.Server(workers=2) as server:
            server.put("ok.wasm", guests.answer("fine"))
            server.put("slow.wasm", guests.slow_to_build(salt=2))
            server.wait_for("/ok.wasm", body=b"fine")
            for pid in [server.process.pid] + e2e.descendants(server.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            server.process.wait()
            server.start() # though a process that was killed lets go of its sockets a moment later
            server.wait_for("/ok.wasm", body=b"fine")
            server.wait_for("/slow.wasm", 200)

    def test_restart_right_after_sigkill_of_the_supervisor(self):
        with e2e.Server(workers=2) as server:
            server.put("ok.wasm", guests.answer("fine"))
            server.wait_for("/ok.wasm", body=b"fine")
            for _ in range(5):
                server.process.kill()
                server.process.wait()
                server.start()
                server.wait_for("/ok.wasm", body=b"fine")

    def test_a_taken_address_is_told(self):
        server = e2e.Server(workers=1)
        with socket.socket() as other:
            other.bind(("127.0.0.1", server.port))
            other.listen()
            server.launch()
            try:
                self.assertEqual(server.process.wait(30), 1)
                self.assertIn("something else does", server.log_text())
            finally:
                server.close()

    def test_a_worker_that_stands_still_is_replaced(self):
        with e2e.Server(workers=2, limits={"hang_s": 2}) as server:
            server.put("ok.wasm", guests.answer("fine"))
            server.wait_for("/ok.wasm", body=b"fine")
            before = server.worker_pids()
            os.kill(before[0], signal.SIGSTOP)
            server.until(lambda: len(set(server.worker_pids()) - set(before)) == 1, "a worker took its place", 20)
            server.until(lambda: before[0] not in server.worker_pids(), "the stopped one is gone", 20)
            self.assertIn(before[1], server.worker_pids(), "the other one stays")
            self.assertIn("has stood still", server.log_text())
            for _ in range(32):
                server.wait_for("/ok.wasm", body=b"fine", seconds=10)
            time.sleep(3) # one that is idle does not stand still
            self.assertEqual(len(set(server.worker_pids()) & set(before)), 1)
            self.assertEqual(server.log_text().count("has stood still"), 1)

    def test_a_dead_supervisor_takes_its_children_along(self):
        with e2e.Server(workers=2) as server:
            server.put("ok.wasm", guests.answer("fine"))
            server.wait_for("/ok.wasm", body=b"fine")
            children = e2e.descendants(server.process.pid)
            server.process.kill()
            server.process.wait()
            server.until(lambda: not e2e.running(children), "no child outlives the supervisor", 20)


if __name__ == "__main__":
    e2e.main()
