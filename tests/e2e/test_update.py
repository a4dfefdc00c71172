"""A function is overwritten again and again while wrk asks for it: test_update.py [SECONDS]."""
import collections
import re
import subprocess
import sys
import threading
import time

import e2e
import guests

SECONDS = int(sys.argv.pop()) if len(sys.argv) > 1 and sys.argv[-1].isdigit() else 6


STANDSTILL_S = 5


class Standstill:
    """For how long at most nothing ran on this machine, between its beginning and end."""

    def __enter__(self):
        self.longest_s, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        before = time.monotonic()
        while not self._stop.wait(0.1):
            now = time.monotonic()
            self.longest_s, before = max(self.longest_s, now - before), now

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Update(e2e.Case):
    workers = 2

    @classmethod
    def prepare(cls, server):
        server.put("hello.wasm", guests.answer("version A"))

    def watch_versions(self, stop, seen, wrong):
        with e2e.Connection(self.server.port) as connection:
            while not stop.is_set():
                response = connection.ask("/hello.wasm")
                if response.status == 200:
                    seen[response.body] += 1
                else:
                    wrong.append(response)

    def test_overwrite_under_load(self):
        server = self.server
        server.put("hello.wasm", guests.answer("version A"))
        server.wait_for("/hello.wasm", body=b"version A")
        # Both versions once, so that the cache knows them and what follows is about the switch.
        server.put("hello.wasm", guests.answer("version B"))
        server.wait_for("/hello.wasm", body=b"version B")
        # A machine that stands still for the time in which idle connections are ended says nothing of a switch: all of
        # wrk's connections then end, or count as late, at once.
        for _ in range(3):
            with Standstill() as standstill:
                report, name = self.overwrite_under_load(server)
            if standstill.longest_s < STANDSTILL_S:
                break
            print("the machine stood still for %.1f s: once more" % standstill.longest_s)
        self.assertNotIn("Socket errors", report)
        self.assertNotIn("Non-2xx", report)
        self.assertGreater(int(re.search(r"(\d+) requests in", report).group(1)), 100)
        server.wait_for("/hello.wasm", body=b"version " + name.encode())

    def overwrite_under_load(self, server):
        """wrk's report, and the version that was written last."""
        stop, seen, wrong = threading.Event(), collections.Counter(), []
        watcher = threading.Thread(target=self.watch_versions, args=(stop, seen, wrong))
        watcher.start()
        load = subprocess.Popen(["wrk", "-t1", "-c64", "-d%ds" % SECONDS, "--timeout", "10s",
                                 "http://127.0.0.1:%d/hello.wasm" % server.port], stdout=subprocess.PIPE, text=True)
        began, count, name = time.monotonic(), 0, "B"
        try:
            while load.poll() is None and time.monotonic() - began < SECONDS - 0.9 or count < 2:
                name = "A" if name == "B" else "B"
                # In place and by rename, in turn: both are what copying programs do.
                write = server.overwrite if count % 4 < 2 else server.put
                write("hello.wasm", guests.answer("version " + name))
                count += 1
                time.sleep(0.9)
            report = load.communicate(timeout=60)[0]
        finally:
            stop.set()
            watcher.join()
            if load.poll() is None:
                load.kill()
                load.wait()
        print(report, "overwritten %d times, seen %s" % (count, dict(seen)))
        self.assertEqual(load.returncode, 0)
        self.assertFalse(wrong, wrong[:3])
        self.assertEqual(set(seen), {b"version A", b"version B"})
        return report, name

    def test_requests_in_flight_finish_on_their_version(self):
        server = self.server
        server.put("busy.wasm", guests.busy(700, "old"))
        server.wait_for("/busy.wasm", body=b"old")
        # Known to the cache beforehand, so that the switch happens while the old version runs.
        server.put("other.wasm", guests.busy(1, "new"))
        server.wait_for("/other.wasm", body=b"new")
        with e2e.Connection(server.port) as connection:
            connection.send("GET /busy.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server.put("busy.wasm", guests.busy(1, "new"))
            self.assertEqual(connection.read_response().body, b"old")
        server.wait_for("/busy.wasm", body=b"new")

    def test_a_version_that_does_not_build_leaves_the_last_good_one(self):
        server = self.server
        server.put("keep.wasm", guests.answer("good"))
        server.wait_for("/keep.wasm", body=b"good")
        server.put("keep.wasm", guests.import_of("env", "hostcall_unheard_of", ""))
        entry = server.until(lambda: (lambda e: e if e and e["error"] else None)(
            server.functions().get("_default/keep.wasm")), "the refusal is reported")
        self.assertEqual(entry["state"], "live")
        self.assertIn("hostcall_unheard_of", entry["error"]["text"])
        self.assertEqual(server.ask("/keep.wasm").body, b"good")
        server.put("keep.wasm", guests.answer("better"))
        server.wait_for("/keep.wasm", body=b"better")
        server.until(lambda: server.functions()["_default/keep.wasm"]["error"] is None, "the error is cleared")


if __name__ == "__main__":
    e2e.main()
