"""A function's optimised artifact takes the place of its fast one while clients ask for it: test_tiers.py [SWAPS]."""
import collections
import re
import sys
import threading
import time
import unittest

import e2e
import guests

SWAPS = int(sys.argv.pop()) if len(sys.argv) > 1 and sys.argv[-1].isdigit() else 2
CLIENTS = 8


class Load:
    """Clients on kept connections. Every answer is counted, every loss is kept."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.stop, self.seen, self.wrong = threading.Event(), collections.Counter(), []
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]

    def ask(self):
        try:
            with e2e.Connection(self.server.port) as connection:
                while not self.stop.is_set():
                    response = connection.ask(self.path)
                    if response.status == 200:
                        self.seen[response.body] += 1
                    else:
                        self.wrong.append(response)
                    time.sleep(0.001) # an optimised build gets what is left of the cores
        except OSError as error:
            self.wrong.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@unittest.skipUnless(e2e.has_clang(), "no clang, so no fast tier")
class Tiers(e2e.Case):
    workers = 2
    limits = {"first_build_ms": 0} # whatever its size, a module is live on the fast tier first

    def tier(self, name):
        return (self.server.functions().get("_default/" + name) or {}).get("tier")

    def wait_for_tier(self, name, tier):
        # An optimised build only gets what nobody else wants of the cores.
        self.server.until(lambda: self.tier(name) == tier, "%s is on the %s tier" % (name, tier),
                          seconds=300)

    def swaps(self, name):
        """How often the server said that it put an optimised artifact in place."""
        return len(re.findall(r"_default/%s: optimised, version" % re.escape(name), self.server.log_text()))

    def test_swap_under_load(self):
        server = self.server
        server.put("hello.wasm", guests.answer("version 0"))
        server.wait_for("/hello.wasm", body=b"version 0")
        with Load(server, "/hello.wasm") as load:
            for number in range(1, SWAPS + 1):
                self.wait_for_tier("hello.wasm", "optimised")
                before = sum(load.seen.values())
                text = "version %d" % number
                server.overwrite("hello.wasm", guests.answer(text))
                server.wait_for("/hello.wasm", body=text.encode())
                # Both: live at all, and then swapped, with requests before, between and behind.
                self.assertEqual(self.server.functions()["_default/hello.wasm"]["state"], "live")
                self.wait_for_tier("hello.wasm", "optimised")
                here = sum(load.seen.values())
                server.until(lambda here=here: sum(load.seen.values()) > here + 100, "the swapped version answers")
                self.assertGreater(here, before)
        print("%d answers, %d lost, %d swaps" % (sum(load.seen.values()), len(load.wrong), self.swaps("hello.wasm")))
        self.assertFalse(load.wrong, load.wrong[:3])
        self.assertGreaterEqual(self.swaps("hello.wasm"), SWAPS)
        self.assertEqual(set(load.seen), {b"version %d" % number for number in range(SWAPS + 1)})

    def test_requests_in_flight_end_on_the_artifact_they_began_on(self):
        server = self.server
        server.put("busy.wasm", guests.busy(300, "done"))
        server.wait_for("/busy.wasm", body=b"done")
        answers = 0
        with e2e.Connection(server.port) as connection:
            # One request after the other without a gap: the swap falls into one of them.
            while self.tier("busy.wasm") != "optimised" or answers < 2:
                response = connection.ask("/busy.wasm")
                self.assertEqual((response.status, response.body), (200, b"done"))
                answers += 1
                self.assertLess(answers, 1000)
        self.assertEqual(self.swaps("busy.wasm"), 1)


if __name__ == "__main__":
    e2e.main()
