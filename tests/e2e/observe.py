"""What a server tells of itself: the access log, counters, the processes it consists of, and the commands that ask."""
import glob
import json
import os
import subprocess

import e2e


def program(*arguments):
    return subprocess.run([e2e.PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


def access_lines(server, folder=None):
    lines = []
    for path in glob.glob(os.path.join(folder or os.path.join(server.cache, "log", "*"), "access.log")):
        with open(path, encoding="utf-8") as stream:
            lines += [json.loads(line) for line in stream.read().split("\n")[:-1]]
    return lines


def line_of(server, target, status=None):
    """The access log's line of a target that was asked for once."""
    def there():
        return [line for line in access_lines(server) if line["target"] == target
                and (status is None or line["status"] == status)]
    return server.until(there, "the access log tells of %s" % target, 20)[0]


def children_named(server, word):
    found = []
    for pid in e2e.descendants(server.process.pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as stream:
                if word.encode() in stream.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue
    return found


def metrics(server):
    for path in glob.glob(os.path.join(server.cache, "state", "*", "metrics.json")):
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    return {}


def wait_until_it_runs(server, path):
    """Of a function that answers only when its time is over: until the server has begun to run it. Then leaves."""
    def begun():
        with e2e.Connection(server.port, timeout=0.5) as connection:
            try:
                return connection.ask(path).status != 503
            except TimeoutError:
                return True
    server.until(begun, "%s runs" % path)


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
