"""A flood of invented hosts: what is asked of the resolver and what is remembered stays bounded, a known host is served
throughout, and how long it takes is printed beside how long it takes without. Argument: how many hosts."""
import os
import random
import subprocess
import sys
import threading
import time
import unittest

import e2e
import guests
import nameserver

HOSTS = 2000
RATE = 100

# Runs in a process of its own, so that it takes no time from whoever measures.
FLOOD = """
import random, socket, sys
port, count, seed = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
statuses = {}
sent = 0
while sent < count:
    for connection in connections:
        host = "%016x.flood.test" % draw.getrandbits(64)
        connection.sendall(("GET /f HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % host).encode())
        sent += 1
    for connection in connections:
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            data += connection.recv(65536)
        head, body = data.split(b"\\r\\n\\r\\n", 1)
        lines = head.lower().split(b"\\r\\n")
        length = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")][0]
        while len(body) < length:
            body += connection.recv(65536)
        statuses[head[9:12].decode()] = statuses.get(head[9:12].decode(), 0) + 1
print(statuses)
"""


def memory_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("Pss:"))


class Flood(e2e.Case):
    limits = {"domain_queries_s": RATE, "domains_absent": 1024, "domain_lookup_ms": 1000, "domain_wait_ms": 1000}

    @classmethod
    def setUpClass(cls):
        cls.mode = "absent"
        cls.names = nameserver.Liar(cls.behave)
        cls.config = "domains:\n  resolvers: 127.0.0.1:%d\n" % cls.names.port
        super().setUpClass()
        cls.server.wait_for("/f", host="known.test")
        cls.server.wait_for("/f", host="folder.test")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.names.close()

    @classmethod
    def prepare(cls, server):
        os.rmdir(os.path.join(server.root, "_default"))
        server.put("f.wasm", guests.answer("hello"), site="private/alice")
        server.put("f.wasm", guests.answer("hello"), site="folder.test")

    @classmethod
    def behave(cls, name, question, query, count):
        if name == "_keybase_pages.known.test":
            record = nameserver.txt_record(b"\xc0\x0c", b"kbp=/keybase/private/alice")
            return [nameserver.reply(query, question, [record])]
        return [] if cls.mode == "silent" else [nameserver.reply(query, question, rcode=3)]

    def measure(self, host, until):
        """Times of requests, one after another, in ms."""
        times = []
        with e2e.Connection(self.server.port) as connection:
            while not until():
                start = time.monotonic()
                response = connection.ask("/f", host=host)
                times.append((time.monotonic() - start) * 1000)
                self.assertEqual((response.status, response.body), (200, b"hello"))
        return sorted(times)

    def service(self):
        for pid in e2e.descendants(self.server.process.pid):
            with open("/proc/%d/cmdline" % pid, "rb") as stream:
                words = stream.read().split(b"\0")
            if b"_service" in words and words[words.index(b"--index") + 1] == b"2":
                return pid
        return None

    def tell(self, what, times):
        sys.stderr.write("%s: %d requests, median %.3f ms, p99 %.3f ms, slowest %.3f ms\n" % (
            what, len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))

    def flood(self, mode, hosts):
        type(self).mode = mode
        for host in ("known.test", "folder.test"):
            end = time.monotonic() + 2
            self.tell("alone, %s" % host, self.measure(host, lambda: time.monotonic() > end))
        pid, worker = self.service(), self.server.worker_pids()[0]
        before, asked, start = (memory_kib(pid), memory_kib(worker)), self.names.total, time.monotonic()
        process = subprocess.Popen([sys.executable, "-c", FLOOD, str(self.server.port), str(hosts),
                                    str(random.randrange(1 << 30))], stdout=subprocess.PIPE)
        results = {}

        def watch(host):
            results[host] = self.measure(host, lambda: process.poll() is not None)
        thread = threading.Thread(target=watch, args=("known.test",))
        thread.start()
        output = process.communicate()[0].decode()
        thread.join()
        took = time.monotonic() - start
        after = (memory_kib(pid), memory_kib(worker))
        self.assertEqual(process.returncode, 0)
        self.tell("flood of %d hosts (resolver: %s), known.test" % (hosts, mode), results["known.test"])
        queries = self.names.total - asked
        sys.stderr.write("%.1f s, answers %s, %d queries; domain service %d → %d KiB, worker %d → %d KiB\n" % (
            took, output.strip(), queries, before[0], after[0], before[1], after[1]))
        # Three names for each look-up, each asked for at most three times; a second's worth is saved up.
        tries = 1 if mode == "absent" else 3
        self.assertLessEqual(queries, (RATE * (took + 1) + 2 * RATE) * 3 * tries + 30)
        self.assertLess(after[0] - before[0], 16 << 10)
        self.assertLess(after[1] - before[1], 16 << 10)

    def test_names_that_do_not_exist(self):
        self.flood("absent", HOSTS)

    def test_a_resolver_that_says_nothing(self):
        self.flood("silent", HOSTS // 50 + 100) # each waits for its end


if __name__ == "__main__":
    if len(sys.argv) > 1:
        HOSTS = int(sys.argv.pop())
    unittest.main(verbosity=2)
