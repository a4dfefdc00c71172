"""What functions keep between requests: results, sites apart, quotas, one winner among many, nothing lost to a kill."""
import os
import signal
import subprocess
import sys
import threading
import time

import e2e

GUEST = os.path.join(e2e.BUILD, "tests", "guests", "kv.wasm")
LIMITS = {"kv_site_keys": 50, "kv_site_bytes": 100000, "kv_value_bytes": 60000, "kv_key_bytes": 100}


class Kv(e2e.Case):
    workers = 2
    limits = {}
    sites = ("_default", "other.example")

    @classmethod
    def prepare(cls, server):
        with open(GUEST, "rb") as stream:
            guest = stream.read()
        for site in cls.sites:
            server.put("kv.wasm", guest, site=site)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for site in cls.sites:
            cls.server.wait_for("/kv.wasm", host="localhost" if site == "_default" else site)

    def try_to(self, *lines, host="localhost"):
        return self.server.ask("/kv.wasm", method="POST", host=host, body="\n".join(lines).encode())

    def do(self, *lines, host="localhost"):
        response = self.try_to(*lines, host=host)
        self.assertEqual(response.status, 200, response)
        return response.body.decode().split("\n")[:-1]

    def kv_pid(self):
        found = [pid for pid in e2e.descendants(self.server.process.pid)
                 if b"_service" in command_of(pid) and b"--index\x001\x00" in command_of(pid)]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def cli(self, *words, stdin=b""):
        command = [os.path.join(e2e.BUILD, "terrafirma"), "kv", *words, "--root", self.server.root,
                   "--cache", self.server.cache]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


class Results(Kv):
    def test_calls_say_what_they_found(self):
        self.assertEqual(self.do("insert a 1", "get a", "insert a 2", "get a"), ["1", "1 1", "0", "1 2"])
        self.assertEqual(self.do("upsert a 3", "get a", "upsert b 3", "get b"), ["0", "1 2", "1", "1 3"])
        self.assertEqual(self.do("append c x", "append c y", "get c"), ["1", "0", "1 xy"])
        self.assertEqual(self.do("remove c", "remove c", "get c"), ["1", "0", "0"])
        self.assertEqual(self.do("insert e ", "get e", "get nothing"), ["1", "1 ", "0"])

    def test_a_request_finds_what_another_left_and_a_site_not_what_anothers_did(self):
        self.do("insert shared here", "remove theirs")
        for _ in range(20): # whichever worker it is
            self.assertEqual(self.do("get shared"), ["1 here"])
            self.assertEqual(self.do("get shared", host="other.example"), ["0"])
        self.do("insert theirs there", host="other.example")
        self.assertEqual(self.do("get theirs"), ["0"])

    def test_no_worker_tells_an_old_value(self):
        for number in range(60):
            self.do("insert n %d" % number)
            for _ in range(4):
                self.assertEqual(self.do("get n"), ["1 %d" % number])

    def test_large_values_come_back_whole(self):
        self.do("fill big 1000000")
        self.assertEqual(self.do("get big"), ["1 " + "x" * 1000000])

    def test_the_command_line_sees_and_changes_it(self):
        self.do("insert k v", "insert l w")
        self.assertEqual(self.cli("get", "_default", "k"), (0, "v", ""))
        self.assertEqual(self.cli("put", "_default", "k", "changed")[0], 0)
        self.server.until(lambda: self.do("get k") == ["1 changed"], "the changed value", 5)
        self.assertEqual(self.cli("put", "_default", "k", stdin=b"from\x00stdin")[0], 0)
        self.assertEqual(self.cli("get", "_default", "k")[1], "from\x00stdin")
        listed = self.cli("list", "_default", "--prefix", "k")
        self.assertEqual(listed[0], 0)
        self.assertRegex(listed[1], r"(?m)^ +10  k$")
        self.assertNotRegex(listed[1], r"(?m) l$")
        self.assertRegex(self.cli("list")[1], r"(?m)^ +\d+ +\d+  _default$")
        self.assertEqual(self.cli("delete", "_default", "k")[0], 0)
        self.assertEqual(self.cli("delete", "_default", "k")[0], 1)
        self.assertEqual(self.cli("get", "_default", "k")[0], 1)
        self.assertEqual(self.cli("get", "../x", "k")[0], 2)
        self.assertEqual(self.cli("shout")[0], 2)

    def test_every_key_is_found(self):
        """By whichever worker, and again from what it remembers."""
        self.do("make n- 40")
        for _ in range(10):
            lines = self.do("scan n- 40", "scan n- 40", "scan m- 10")
            self.assertEqual([int(line.split()[1]) for line in lines], [40, 40, 0])


class Quota(Kv):
    limits = LIMITS

    def refused(self, line, limit):
        response = self.try_to(line)
        self.assertEqual(response.status, 502, line)
        self.server.until(lambda: limit in self.server.log_text(), "the log names %s" % limit, 10)

    def test_quotas_are_exact_and_named(self):
        self.do(*["insert key%d v" % number for number in range(50)])
        self.refused("insert one-more v", "limits.kv_site_keys")
        self.assertEqual(self.do("get one-more", "insert key0 other", "remove key1", "insert one-more v"),
                         ["0", "0", "1", "1"])
        self.refused("fill key0 60001", "limits.kv_value_bytes")
        self.assertEqual(self.do("get key0", "fill key0 60000"), ["1 other", "0"])
        self.refused("fill key2 60000", "limits.kv_site_bytes")
        self.assertEqual(self.do("get key2"), ["1 v"])
        self.refused("insert %s v" % ("k" * 101), "limits.kv_key_bytes")
        self.assertEqual(self.do("get " + "k" * 101), ["0"])
        self.assertEqual(self.do("insert key0 v", host="other.example"), ["1"]) # a site's quota is its own


class Races(Kv):
    keys, batch, limits, workers = 300, 50, {"wall_ms": 60000, "cpu_ms": 10000}, 4

    def test_one_upsert_of_many_wins(self):
        won, rounds = [], 40
        for number in range(rounds):
            counts = []

            def race(number=number, counts=counts):
                with e2e.Connection(self.server.port) as connection:
                    body = b"upsert race%d %d" % (number, threading.get_ident())
                    response = connection.ask("/kv.wasm", method="POST", body=body)
                    counts.append(int(response.body))
            threads = [threading.Thread(target=race) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(counts), 8)
            won.append(sum(counts))
        self.assertEqual(won, [1] * rounds)

    def test_of_four_workers_one_wins_each_key(self):
        """Each client upserts every key, many in one request, on a connection of its own: some worker's."""
        wins, values = [0] * self.keys, [None] * self.keys

        def race(client):
            for first in range(0, self.keys, self.batch):
                numbers = range(first, min(first + self.batch, self.keys))
                lines = self.do(*["upsert key%d client%d" % (number, client) for number in numbers])
                with lock:
                    for number, line in zip(numbers, lines):
                        wins[number] += int(line)
                        values[number] = "1 client%d" % client if line == "1" else values[number]
        lock = threading.Lock()
        threads = [threading.Thread(target=race, args=(client,)) for client in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wins, [1] * self.keys)
        for first in range(0, self.keys, self.batch):
            numbers = range(first, min(first + self.batch, self.keys))
            self.assertEqual(self.do(*["get key%d" % number for number in numbers]), values[first:first + self.batch])

    def test_no_append_is_lost(self):
        threads = [threading.Thread(target=self.do, args=("count votes 50",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.do("get votes"), ["1 " + "." * 400])


class Kills(Kv):
    def test_nothing_acknowledged_is_lost_when_the_service_is_killed(self):
        stop = threading.Event()
        acknowledged, failed = {}, [0]

        def write(thread):
            number = 0
            while not stop.is_set():
                number += 1
                key = "k%d-%d" % (thread, number % 50)
                with e2e.Connection(self.server.port) as connection:
                    response = connection.ask("/kv.wasm", method="POST", body=b"insert %s %d" % (key.encode(), number))
                if response.status == 200:
                    acknowledged[key] = number
                else:
                    acknowledged.pop(key, None) # perhaps written, perhaps not
                    failed[0] += 1
                    time.sleep(0.02)
        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            time.sleep(0.4)
            os.kill(self.kv_pid(), signal.SIGKILL)
            # A write: what was read before is told without the service.
            self.server.until(lambda: self.try_to("append back .").status == 200, "the store is back", 30)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertGreater(len(acknowledged), 20)
        for key, number in acknowledged.items():
            self.assertEqual(self.do("get " + key), ["1 %d" % number], key)

    def test_it_outlives_the_server(self):
        self.do("insert kept over-the-night")
        self.server.stop()
        self.server.start()
        self.server.wait_for("/kv.wasm")
        self.assertEqual(self.do("get kept"), ["1 over-the-night"])


def figures():
    """Not a test: what calls cost, seen from inside a guest."""
    Kv.setUpClass()
    case = Kv()
    case.do("insert k some-value")
    case.do("read k 100000")
    reads = sorted(int(case.do("read k 200000")[0]) for _ in range(9))
    print("a read of a value at hand: %d ns (median of 9, 200,000 reads each)" % reads[4])
    cold = sorted(int(case.do("make c%d- 100" % number, "scan c%d- 100" % number)[1].split()[0])
                  for number in range(9))
    print("a read of a value not at hand: %.2f us (median of 9, 100 keys each, once)" % (cold[4] / 1e3))
    began = time.monotonic()
    case.do("count c 500")
    print("a write, waited for: %.2f ms (500 one after another)" % ((time.monotonic() - began) * 2))
    Kv.tearDownClass()


if __name__ == "__main__":
    if sys.argv[1:] == ["figures"]:
        figures()
    elif sys.argv[1:2] == ["race"]:
        Races.keys = int(sys.argv[2])
        sys.argv[1:] = ["Races.test_of_four_workers_one_wins_each_key"]
        e2e.main()
    else:
        e2e.main()
