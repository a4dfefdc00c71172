"""Millions of requests of mixed functions: after warm-up a worker's memory, mappings and descriptors stay as they are.

    test_sandbox_soak.py [requests [minutes]]

Ends with whichever comes first. The load comes from wrk; without it the test is skipped.
"""
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

import e2e
import guests

REQUESTS, MINUTES = 60000, 3.0
CHUNKS_LEAST = 12
WARM = 1 / 3 # share of the chunks
# What is resident at a look differs by how many requests ran at once a moment before.
RSS_MORE_BYTES = 6 << 20
MAPPINGS_MORE = 24
# A guest under way keeps the connection of a client that left for as long as it may run. Looks, 20 ms apart, and not
# time: where all of this stands still for a while, so does the server.
SETTLE_LOOKS = 600
WRK = shutil.which("wrk")

# Grows by two pages, touches them and some of what it has.
GROW = guests.wat(["body"], """(local i32)
    (local.set 0 (i32.mul (memory.grow (i32.const 2)) (i32.const 65536)))
    (i32.store (local.get 0) (i32.const 1))
    (i32.store (i32.add (local.get 0) (i32.const 70000)) (i32.const 1))
    (i32.store (i32.const 30000) (i32.const 1))
    (drop (call $body (i32.const 0) (i32.const 1024) (i32.const 4)))""", '(data (i32.const 1024) "grew")')
# More than is copied back page by page.
FILL = guests.wat(["body"], """(drop (memory.grow (i32.const 200)))
    (memory.fill (i32.const 0) (i32.const 120) (i32.const 9000000))
    (drop (call $body (i32.const 0) (i32.const 0) (i32.const 100000)))""")
# Path: times in a round of 1000, whether it has a body, status.
MIX = {
    "/hello.wasm": (500, False, 200), "/echo.wasm": (200, True, 200), "/state.wasm": (140, False, 200),
    "/grow.wasm": (80, False, 200), "/trap.wasm": (40, False, 502), "/deep.wasm": (20, False, 502),
    "/busy.wasm": (4, False, 200), "/fill.wasm": (3, False, 200), "/loop.wasm": (1, False, 504),
    "/absent": (12, False, 404),
}

SCRIPT = """
local requests, at, round = {}, 0, 0
local body = string.rep("x", 3000)
local function add(count, path, has_body)
    for i = 1, count do
        requests[#requests + 1] = wrk.format(has_body and "POST" or "GET", path, nil, has_body and body or nil)
    end
end
function init()
%s
    math.randomseed(7)
    for i = #requests, 2, -1 do
        local j = math.random(i)
        requests[i], requests[j] = requests[j], requests[i]
    end
end
function request()
    at = at %% #requests + 1
    return requests[at]
end
"""


def look(pid):
    """(resident bytes, mappings, descriptors)"""
    with open("/proc/%d/statm" % pid, encoding="ascii") as stream:
        resident = int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with open("/proc/%d/maps" % pid, "rb") as stream:
        mappings = stream.read().count(b"\n")
    return resident, mappings, len(os.listdir("/proc/%d/fd" % pid))


@unittest.skipUnless(WRK, "there is no wrk")
class Soak(e2e.Case):
    limits = {"cpu_ms": 50, "wall_ms": 10000}

    @classmethod
    def prepare(cls, server):
        for name, text in (("echo", guests.ECHO_BODY), ("state", guests.STATE), ("grow", GROW), ("trap", guests.TRAP),
                           ("deep", guests.RECURSE), ("fill", FILL), ("loop", guests.LOOP)):
            server.put(name + ".wasm", guests.module(text))
        server.put("hello.wasm", guests.answer("Hello, world!\n"))
        server.put("busy.wasm", guests.busy(3))
        cls.script = os.path.join(server.folder, "mix.lua")
        with open(cls.script, "w", encoding="ascii") as stream:
            stream.write(SCRIPT % "".join('    add(%d, "%s", %s)\n' % (count, path, str(has_body).lower())
                                          for path, (count, has_body, _) in MIX.items()))

    def load(self, seconds):
        """Requests answered, and those of them with a status below 400."""
        result = subprocess.run(
            [WRK, "-t1", "-c24", "-d%ds" % seconds, "--timeout", "60s", "-s", self.script,
             "http://127.0.0.1:%d/" % self.server.port], stdout=subprocess.PIPE, text=True, check=True)
        self.assertNotIn("Socket errors", result.stdout)
        requests = int(re.search(r"(\d+) requests in", result.stdout).group(1))
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", result.stdout)
        return requests, requests - (int(failed.group(1)) if failed else 0)

    def settled(self, pid):
        """Looks once the load's connections are gone, and with them what they held."""
        for _ in range(SETTLE_LOOKS):
            seen = look(pid)
            if seen[2] <= self.descriptors:
                break
            time.sleep(0.02)
        return seen

    def test_nothing_grows(self):
        server = self.server
        for path, (_, has_body, status) in MIX.items():
            body = b"x" * 3000 if has_body else None
            server.until(lambda: server.ask(path, method="POST" if body else "GET", body=body).status == status,
                         "%d of %s" % (status, path))
        pid, = server.worker_pids()
        self.descriptors = look(pid)[2]
        began = time.monotonic()
        total = fine = 0
        seen = []
        while (total < REQUESTS or len(seen) < CHUNKS_LEAST) and time.monotonic() - began < MINUTES * 60:
            rate = total / max(1.0, time.monotonic() - began)
            requests, good = self.load(max(1, min(10, int((REQUESTS - total) / rate / 10) if rate else 1)))
            total += requests
            fine += good
            seen.append(self.settled(pid))
        self.assertEqual(server.worker_pids(), [pid], "it is the same worker")
        kept = seen[int(len(seen) * WARM):]
        resident, mappings, descriptors = zip(*kept)
        for number, (name, unit) in enumerate((("resident", 1024), ("mappings", 1), ("descriptors", 1))):
            values = [one[number] // unit for one in kept]
            print("%s%s: %d at first, then after warm-up %d … %d, least %d, most %d" % (
                name, " KiB" if unit > 1 else "", seen[0][number] / unit, values[0], values[-1], min(values),
                max(values)))
        print("%d requests in %.0f s, %.2f %% fine" % (total, time.monotonic() - began, 100 * fine / total))
        expected = sum(count for count, _, status in MIX.values() if status == 200) / 1000
        self.assertAlmostEqual(fine / total, expected, delta=0.02)
        third = max(1, len(kept) // 3)
        # The least: what a request just used may be kept for the next, but not more and more of it.
        self.assertLess(min(resident[-third:]), min(resident[:third]) + RSS_MORE_BYTES)
        # A slot more for a function of which one more ran at once than ever before is no growth.
        self.assertLessEqual(max(mappings[-third:]), max(mappings[:third]) + MAPPINGS_MORE)
        self.assertLessEqual(max(descriptors), min(descriptors))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        REQUESTS = int(sys.argv.pop(1))
    if len(sys.argv) > 1 and re.match(r"[0-9.]+$", sys.argv[1]):
        MINUTES = float(sys.argv.pop(1))
    e2e.main()
