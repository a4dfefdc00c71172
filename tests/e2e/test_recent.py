"""A server that is started again has loaded what was used last before anybody asks: test_recent.py"""
import glob
import os
import re

import e2e
import guests

NAMES = ("one", "two", "three", "four")


class Recent(e2e.Case):
    @classmethod
    def prepare(cls, server):
        for name in NAMES:
            server.put(name + ".wasm", guests.answer("this is " + name))

    def loaded(self):
        """Keys of what the worker has mapped."""
        pids = self.server.worker_pids()
        if len(pids) != 1:
            return set()
        with open("/proc/%d/maps" % pids[0], encoding="utf-8") as stream:
            return set(re.findall(r"/([0-9a-f]{64})/module\.so", stream.read()))

    def key(self, name):
        return self.server.wait_for_state("_default/%s.wasm" % name, "live")["key"]

    def test_begins_with_what_was_used_last(self):
        server = self.server
        for name in NAMES:
            server.wait_for_state("_default/%s.wasm" % name, "live")
        for name in ("one", "three"):
            server.wait_for("/%s.wasm" % name, body=b"this is " + name.encode())
        used = {self.key("one"), self.key("three")}
        self.assertEqual(self.loaded(), used)
        self.assertEqual(server.stop(), 0)
        places = glob.glob(os.path.join(server.cache, "roots", "*", "recent"))
        with open(places[0], encoding="ascii") as stream:
            self.assertEqual(set(stream.read().split()), used)
        server.start()
        server.until(lambda: self.loaded() == used, "what was used last is loaded")
        server.wait_for("/two.wasm", body=b"this is two")
        used.add(self.key("two"))
        server.until(lambda: self.loaded() == used, "another is loaded")
        for name in NAMES:
            self.assertEqual(server.ask("/%s.wasm" % name).body, b"this is " + name.encode())

    def test_a_file_of_nonsense_changes_nothing(self):
        server = self.server
        server.wait_for("/one.wasm", body=b"this is one")
        self.assertEqual(server.stop(), 0)
        for place in glob.glob(os.path.join(server.cache, "roots", "*", "recent")):
            with open(place, "wb") as stream:
                stream.write(os.urandom(3000))
        server.start()
        server.wait_for("/one.wasm", body=b"this is one")


if __name__ == "__main__":
    e2e.main()
