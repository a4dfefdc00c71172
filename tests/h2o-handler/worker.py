"""A worker process with the test in the builder's place: worker_driver.c does what needs C."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from e2e import Connection, free_port  # noqa: E402

DRIVER = os.environ["TF_WORKER_DRIVER"]
GUESTS = os.environ["TF_WORKER_GUESTS"]
PATIENCE = 30


class Worker:
    def __init__(self, **limits):
        self.folder = tempfile.mkdtemp(prefix="tf-worker-")
        self.root, self.cache = os.path.join(self.folder, "root"), os.path.join(self.folder, "cache")
        os.makedirs(os.path.join(self.root, "_default"))
        os.makedirs(self.cache)
        self.port = free_port()
        self.generation = 0
        self.keys = {}
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.driver = subprocess.Popen(
            [DRIVER, self.root, self.cache, str(self.port), *("%s=%s" % item for item in limits.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def close(self):
        self.driver.stdin.close()
        self.driver.wait(PATIENCE)
        self.driver.stdout.close()
        self.log.close()
        reports = re.findall(r".*crash: signal.*", self.log_text())
        shutil.rmtree(self.folder)
        if reports:
            raise AssertionError("the worker crashed: " + "\n".join(reports))

    def tell(self, *lines):
        self.driver.stdin.write("".join(line + "\n" for line in lines))
        self.driver.stdin.flush()
        answer = self.driver.stdout.readline().strip()
        if not answer:
            raise AssertionError("the driver ended:\n" + self.log_text())
        return answer

    def log_text(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def key(self, guest):
        """Of a behaviour in guest.c; a number: of one that answers "number 00042"."""
        if guest not in self.keys:
            place = "%s/handler_guest_%s.so" % (GUESTS, guest)
            if isinstance(guest, int):
                with open("%s/handler_guest_number.so" % GUESTS, "rb") as stream:
                    data = stream.read()
                assert data.count(b"number 00000") == 1
                place = os.path.join(self.folder, "number.so")
                with open(place, "wb") as stream:
                    stream.write(data.replace(b"number 00000", b"number %05d" % guest))
            self.keys[guest] = self.tell("put " + place)
        return self.keys[guest]

    def recent(self, keys):
        """Writes the builder's file of what was used last."""
        roots = os.path.join(self.cache, "roots")
        folder = os.path.join(roots, os.listdir(roots)[0])
        with open(os.path.join(folder, "recent"), "wb") as stream:
            stream.write(keys)

    def modules(self):
        """Artifacts whose objects are mapped, each by its key."""
        return set(re.findall(r"/([0-9a-f]{64})/module\.so", self.maps()))

    def publish(self, sites, wait=True):
        """sites: {site: {path: guest, or a state, or (state, key)}}"""
        lines = []
        for site, functions in sites.items():
            lines.append("site " + site)
            for path, what in functions.items():
                if isinstance(what, tuple):
                    lines.append("function %s %s %s" % (*what, path))
                elif what in ("building", "failed", "refused"):
                    lines.append("function %s - %s" % (what, path))
                else:
                    lines.append("function live %s %s" % (self.key(what), path))
        self.generation += 1
        self.tell("publish %d" % self.generation, *lines, ".")
        if wait:
            self.until(lambda: int(self.tell("ack")) == self.generation, "generation %d" % self.generation)

    def serve(self, **functions):
        """Keyword arguments: function name = guest, all on the default site."""
        self.publish({"_default": {name + ".wasm": guest for name, guest in functions.items()}})

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("never: " + what + "\n" + self.log_text())
            time.sleep(0.01)

    def connect(self, **arguments):
        return Connection(self.port, timeout=PATIENCE, **arguments)

    def ask(self, path, **arguments):
        with self.connect() as connection:
            return connection.ask(path, **arguments)

    def maps(self):
        with open("/proc/%s/maps" % self.tell("pid"), encoding="utf-8") as stream:
            return stream.read()

    def stop(self):
        return int(self.tell("stop"))


class Case(unittest.TestCase):
    def worker(self, **limits):
        worker = Worker(**limits)
        self.addCleanup(worker.close)
        return worker

    def fails(self, worker, path, status):
        response = worker.ask(path)
        self.assertEqual(response.status, status, response)
        found = re.search(rb"\b[0-9a-f]{16}\b", response.body)
        self.assertTrue(found, response)
        worker.until(lambda: found.group(0).decode() in worker.log_text(), "the error id in the log")
