"""A worker that aborts again and again, under load: nobody else notices.

    test_sandbox_abort.py [seconds]

Which connections a worker holds is looked up in /proc while the worker is stopped, right before it is aborted: only a
request on one of those may be lost. Connections that wait in its listener's queue wait for its successor.
"""
import os
import re
import signal
import sys
import threading
import time

import e2e
import guests

SECONDS = 5.0
EVERY_SECONDS = 0.1
WORKERS = 3
STEADY, FRESH = 12, 3
BODY = b"fine"


def ports_of(pid, port):
    """The clients' ports of the connections that the process has accepted."""
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found = re.match(r"socket:\[(\d+)\]$", os.readlink("/proc/%d/fd/%s" % (pid, name)))
        except OSError:
            continue
        if found:
            inodes.add(found.group(1))
    ports = set()
    with open("/proc/net/tcp", encoding="ascii") as stream:
        for line in stream.readlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and int(fields[1].split(":")[1], 16) == port:
                ports.add(int(fields[2].split(":")[1], 16))
    return ports - {0}


class Client(threading.Thread):
    """Asks without pause; over one connection as long as it lasts, or over a new one each time."""

    def __init__(self, server, is_fresh):
        super().__init__(daemon=True)
        self.server, self.is_fresh = server, is_fresh
        self.answered, self.longest, self.wrong = 0, 0.0, []
        self.lost = [] # (the connection's port, when)
        self.is_over = False

    def run(self):
        connection = None
        while not self.is_over:
            began = time.monotonic()
            try:
                if connection is None:
                    connection = e2e.Connection(self.server.port)
                response = connection.ask("/fine.wasm")
                if response.status == 200 and response.body == BODY:
                    self.answered += 1
                else:
                    self.wrong.append(repr(response))
                self.longest = max(self.longest, time.monotonic() - began)
                if self.is_fresh:
                    connection.close()
                    connection = None
                    time.sleep(0.005)
            except OSError as error:
                if connection is None:
                    self.wrong.append("no connection: %r" % error)
                    time.sleep(0.01)
                    continue
                self.lost.append((connection.socket.getsockname()[1], time.monotonic()))
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


class Aborting(e2e.Case):
    workers = WORKERS

    @classmethod
    def prepare(cls, server):
        server.crashes = True
        server.put("fine.wasm", guests.answer(BODY.decode()))

    def test_others_lose_nothing(self):
        server = self.server
        server.wait_for("/fine.wasm", body=BODY)
        server.until(lambda: len(server.worker_pids()) == WORKERS, "all workers are there")
        others = set(server.worker_pids()[1:])
        clients = [Client(server, number < FRESH) for number in range(STEADY + FRESH)]
        for client in clients:
            client.start()
        doomed, aborts = [], 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(EVERY_SECONDS)
            for victim in set(server.worker_pids()) - others:
                try:
                    os.kill(victim, signal.SIGSTOP)
                    doomed.append((time.monotonic(), ports_of(victim, server.port)))
                    os.kill(victim, signal.SIGABRT)
                    os.kill(victim, signal.SIGCONT)
                    aborts += 1
                except (ProcessLookupError, FileNotFoundError):
                    pass # still starting, or gone already
        for client in clients:
            client.is_over = True
        for client in clients:
            client.join(e2e.PATIENCE)
            self.assertFalse(client.is_alive(), "a request is never answered")

        answered = sum(client.answered for client in clients)
        lost = [one for client in clients for one in client.lost]
        unexplained = [(port, when) for port, when in lost
                       if not any(port in ports and began <= when for began, ports in doomed)]
        print("%d aborts in %.0f s: %d requests answered, %d of %d connections of the dead lost one, longest wait: "
              "%.0f ms on a kept connection, %.0f ms with a new one" % (
                  aborts, SECONDS, answered, len(lost), sum(len(ports) for _, ports in doomed),
                  max(client.longest for client in clients if not client.is_fresh) * 1000,
                  max(client.longest for client in clients if client.is_fresh) * 1000))
        self.assertEqual([wrong for client in clients for wrong in client.wrong], [])
        self.assertEqual(unexplained, [])
        self.assertLessEqual(len(lost), sum(len(ports) for _, ports in doomed))
        self.assertTrue(others <= set(server.worker_pids()), "the others are the same processes as before")
        self.assertGreaterEqual(aborts, 3)
        self.assertGreater(answered, 0)
        server.until(lambda: len(server.worker_pids()) == WORKERS, "the worker is back")


if __name__ == "__main__":
    if len(sys.argv) > 1 and re.match(r"[0-9.]+$", sys.argv[1]):
        SECONDS = float(sys.argv.pop(1))
    e2e.main()
