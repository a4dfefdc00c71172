"""DNS servers for tests, on loopback: knot with a zone, and one that does what no server should."""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

import e2e

KNOTD = "/usr/sbin/knotd"


class Knot:
    """knotd, authoritative for one zone, whose text the test gives."""

    def __init__(self, zone, records, port=None):
        self.folder = tempfile.mkdtemp(prefix="tf-knot-")
        self.zone = zone
        self.port = port or e2e.free_port()
        self.process = None
        self.write(records)
        with open(self.path("knot.conf"), "w", encoding="utf-8") as stream:
            stream.write("""server:
    listen: 127.0.0.1@%d
    rundir: "%s"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: "%s"
template:
  - id: default
    storage: "%s"
    zonefile-load: whole
    semantic-checks: off
zone:
  - domain: %s
    file: zone
""" % (self.port, self.folder, self.folder, self.folder, zone))
        self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, records, serial=1):
        with open(self.path("zone"), "w", encoding="utf-8") as stream:
            stream.write("$ORIGIN %s\n$TTL 2\n@ 2 SOA ns admin %d 3600 600 86400 2\n@ NS ns\nns A 127.0.0.1\n%s\n"
                         % (self.zone, serial, records))

    def start(self):
        with open(self.path("log"), "ab") as log:
            self.process = e2e.spawn([KNOTD, "-c", self.path("knot.conf")], stdout=log, stderr=log,
                                     stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + e2e.PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.path("log"), encoding="utf-8") as log:
                    raise RuntimeError("knot does not serve: " + log.read())
            time.sleep(0.05)

    def _answers(self):
        name = b"".join(bytes([len(label)]) + label.encode() for label in self.zone.strip(".").split(".")) + b"\0"
        query = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + name + b"\0\6\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.send(query)
                return probe.recv(4096)[3] & 15 == 0
            except OSError:
                return False

    def stop(self):
        e2e.end(self.process)

    def replace(self, records, serial):
        self.stop()
        self.write(records, serial)
        self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def txt_record(owner, text, ttl=2):
    data = b"".join(bytes([len(part)]) + part for part in
                    [text[i:i + 255] for i in range(0, len(text), 255)] or [b""])
    return owner + struct.pack(">HHIH", 16, 1, ttl, len(data)) + data


def asked(query):
    """The name that a query asks for, in lower case, and its question as it stands there."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(labels), query[12:at + 5]


class Responder:
    """A name server by UDP alone; of a subclass, datagrams(query) is what it sends back."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, address = self.socket.recvfrom(4096)
                for datagram in self.datagrams(query):
                    self.socket.sendto(datagram, address)
            except OSError:
                return

    def datagrams(self, query):
        raise NotImplementedError


class Liar(Responder):
    """Asks `behave(name, question, query, count)` for the datagrams to send."""

    def __init__(self, behave):
        self.behave = behave
        self.counts = {}
        self.total = 0
        super().__init__()

    def datagrams(self, query):
        name, question = asked(query)
        self.counts[name] = self.counts.get(name, 0) + 1
        self.total += 1
        return self.behave(name, question, query, self.counts[name])


def reply(query, question, records=(), rcode=0, flags=0x8180, name_id=None):
    return ((name_id or query[:2]) + struct.pack(">HHHHH", flags | rcode, 1, len(records), 0, 0) + question +
            b"".join(records))
