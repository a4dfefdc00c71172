"""Which functions a worker has loaded: what makes room, and what it begins with."""
import os
import random
import threading
import unittest

from worker import Case


class Room(Case):
    def test_no_request_is_lost_to_an_eviction(self):
        """120 functions, room for 10, asked at random by six clients while versions change: all answer, and what went
        is unmapped."""
        room, count, clients = 10, 120, 6
        worker = self.worker(functions_loaded=room, slots=16)
        versions = [i for i in range(count)]

        def publish():
            worker.publish({"_default": {"f%d.wasm" % i: versions[i] for i in range(count)}})

        publish()
        stop, wrong, asked = threading.Event(), [], [0] * clients

        def client(number):
            source = random.Random(number)
            with worker.connect() as connection:
                while not stop.is_set():
                    i = source.randrange(count)
                    response = connection.ask("/f%d.wasm" % i)
                    # Its first version, or its second.
                    if response.status != 200 or response.body not in (b"number %05d" % i, b"number %05d" % (i + 1000)):
                        wrong.append((i, response))
                    asked[number] += 1

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        most = 0
        for round_number in range(12):
            for i in range(round_number, count, 12):
                versions[i] = i + 1000
            publish()
            most = max(most, len(worker.modules()))
        worker.until(lambda: min(asked) >= 100, "each client has asked")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong[:3], [])
        # Those in use, one that is being loaded and some that wait to be unmapped come on top.
        self.assertLess(most, room + 60)
        worker.until(lambda: len(worker.modules()) <= room, "what went is unmapped")
        self.assertLessEqual(worker.maps().count("terrafirma-image"), room + 16)
        for i in range(count):
            self.assertEqual(worker.ask("/f%d.wasm" % i).body, b"number %05d" % (i + 1000))

    def test_eviction_by_memory(self):
        """Each holds at least a page of constants: a megabyte is enough for some two hundred."""
        worker = self.worker(loaded_bytes=1 << 20)
        worker.publish({"_default": {"f%d.wasm" % i: i for i in range(300)}})
        with worker.connect() as connection:
            for i in range(300):
                self.assertEqual(connection.ask("/f%d.wasm" % i).body, b"number %05d" % i)
            worker.until(lambda: 100 < len(worker.modules()) <= 256, "the rest is unmapped")
            self.assertEqual(connection.ask("/f0.wasm").body, b"number 00000")


class Recent(Case):
    def test_what_was_used_last_is_loaded_first(self):
        worker = self.worker(warm_functions=3)
        keys = [worker.key(i) for i in range(6)]
        # Not of the routes, named twice, no key, and one too many.
        names = ["f" * 64, keys[4], keys[2], keys[4], "../../../etc/passwd".ljust(64, "/"), keys[0], keys[1]]
        worker.recent("".join(name + "\n" for name in names).encode())
        worker.publish({"_default": {"f%d.wasm" % i: i for i in range(6)}})
        worker.until(lambda: worker.modules() == {keys[4], keys[2], keys[0]}, "three are loaded")
        for i in range(6):
            self.assertEqual(worker.ask("/f%d.wasm" % i).body, b"number %05d" % i)
        self.assertNotIn("error", worker.log_text())

    def test_nonsense_is_nobodys(self):
        for text in (b"", b"\0" * 5000, b"a" * (1 << 20), b"a" * 63 + b"\n", os.urandom(300), b"\n" * 65):
            worker = self.worker()
            worker.key("one") # the cache's folders are there
            worker.recent(text)
            worker.serve(one="one")
            self.assertEqual(worker.ask("/one.wasm").body, b"one")
            self.assertEqual(worker.modules(), {worker.key("one")})

    def test_what_cannot_be_loaded_holds_up_nothing(self):
        worker = self.worker()
        key = worker.key(1)
        worker.recent(("0" * 64 + "\n" + key + "\n").encode())
        worker.publish({"_default": {"gone.wasm": ("live", "0" * 64), "one.wasm": 1}})
        worker.until(lambda: worker.modules() == {key}, "the second is loaded")
        self.assertEqual(worker.ask("/gone.wasm").status, 502)

    def test_none_is_wanted(self):
        for limits in ({"warm_functions": 0}, {"warm_ms": 0}):
            worker = self.worker(**limits)
            worker.recent((worker.key(1) + "\n").encode())
            worker.publish({"_default": {"one.wasm": 1, "two.wasm": "two"}})
            self.assertEqual(worker.ask("/two.wasm").body, b"two")
            self.assertEqual(worker.modules(), {worker.key("two")})


if __name__ == "__main__":
    unittest.main(verbosity=2)
