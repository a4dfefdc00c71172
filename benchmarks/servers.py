"""Servers to measure: started on a free port, pinned to a core, and what CPU time they use."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BODY = b"Hello, world!\n"
SERVER_CORE, CLIENT_CORE = "0", "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(path):
    with open(path, encoding="ascii", errors="replace") as stream:
        return stream.read()


def process_tree(pid):
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(read("/proc/%s/stat" % name).rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    tree = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in tree} - tree
        if not more:
            return tree
        tree |= more


def cpu_seconds(pids):
    """User and system time of the processes, all their threads, from the scheduler's own nanoseconds."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir("/proc/%d/task" % pid):
                total += int(read("/proc/%d/task/%s/schedstat" % (pid, thread)).split()[0])
        except OSError:
            pass
    return total / 1e9


def thread_cpu_seconds(pid):
    """Of the process's first thread."""
    return int(read("/proc/%d/task/%d/schedstat" % (pid, pid)).split()[0]) / 1e9


def waited_seconds(pid):
    """How long the process's first thread could have run and had no core."""
    return int(read("/proc/%d/task/%d/schedstat" % (pid, pid)).split()[1]) / 1e9


def stolen_seconds():
    """What a machine that is a guest itself had to wait for its host, as far as the host tells."""
    return sum(int(line.split()[8]) for line in read("/proc/stat").split("\n")
               if line.split(" ")[0] in ("cpu" + SERVER_CORE, "cpu" + CLIENT_CORE)) / os.sysconf("SC_CLK_TCK")


def machine_busy_seconds():
    """Busy time of the two cores, whoever used it."""
    total = 0
    for line in read("/proc/stat").split("\n"):
        if line.split(" ")[0] in ("cpu" + SERVER_CORE, "cpu" + CLIENT_CORE):
            fields = [int(field) for field in line.split()[1:]]
            total += sum(fields[:3]) + sum(fields[5:8]) # all but idle and waiting for disks
    return total / os.sysconf("SC_CLK_TCK")


def prefer(nice=-15):
    """This process and all it starts go before the rest of the machine, where that is allowed."""
    try:
        os.nice(nice)
    except OSError:
        print("with the priority of all others", file=sys.stderr)


class Foreign:
    """Which share of the two cores others use, from the making of this object until share(). `tree` are the servers'
    processes; clients are children of this process that have ended by then."""

    def __init__(self, tree):
        self.tree, self.began = tree, time.monotonic()
        self.start = self._others()

    def _others(self):
        mine = os.times()
        return machine_busy_seconds() - cpu_seconds(self.tree) - sum(mine[:4])

    def share(self):
        return max(0.0, (self._others() - self.start) / (2 * (time.monotonic() - self.began)))


class Server:
    def __init__(self, name, path):
        self.name, self.path, self.port = name, path, free_port()
        self.folder = tempfile.mkdtemp(prefix="tf-hello-")
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = None

    def start(self):
        # A group of its own, to be ended together, but this session: who prefers the session prefers all of it.
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *self.command()], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, process_group=0)
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url(), timeout=5) as response:
                    body = response.read()
                if body != BODY:
                    raise SystemExit("%s answers %r" % (self.name, body))
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.log.flush()
                    raise SystemExit("%s does not serve (%s):\n%s" % (self.name, error, read(self.log.name)))
                time.sleep(0.05)

    def url(self):
        return "http://127.0.0.1:%d%s" % (self.port, self.path)

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Terrafirma(Server):
    """`sites`: {"site/path": the file that goes there}. `config`: {section: {key: value}} of the configuration file."""
    tiers = "optimised" # what answers first is what is to be measured

    def __init__(self, build, path="/hello.wasm", sites=None, config=None):
        super().__init__("hello.wasm", path)
        self.build = os.path.abspath(build)
        self.config = os.path.join(self.folder, "terrafirma.yaml")
        sites = sites or {"_default/hello.wasm": self.guest("examples/site/_default/hello.wasm")}
        for place, source in sites.items():
            target = os.path.join(self.folder, "root", place)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)
        config = {"toolchain": {"tiers": self.tiers}, **(config or {})}
        with open(self.config, "w", encoding="ascii") as stream:
            for section, keys in config.items():
                stream.write("%s:\n" % section + "".join("  %s: %s\n" % item for item in keys.items()))

    def guest(self, path):
        return os.path.join(self.build, path)

    def command(self):
        return [os.path.join(self.build, "terrafirma"), "serve", "--config", self.config, "--root",
                os.path.join(self.folder, "root"), "--cache", os.path.join(self.folder, "cache"), "--listen",
                "127.0.0.1:%d" % self.port, "--workers", "1"]

    def wait(self, path, host, statuses):
        """Asks until the answer has one of the statuses: until it is built, in most cases."""
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), headers={"Host": host})
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    status = response.status
            except urllib.error.HTTPError as error:
                status = error.code
            if status in statuses:
                return
            if time.monotonic() > deadline:
                raise SystemExit("%s of %s answers %d" % (path, host, status))
            time.sleep(0.05)

    def worker(self):
        """Its process id, which is also that of the thread with the event loop."""
        for pid in process_tree(self.process.pid):
            if "\0_worker\0" in read("/proc/%d/cmdline" % pid):
                return pid
        raise SystemExit("there is no worker")


class Native(Server):
    """`hold_ms`: as the reference of a busy neighbour; see native-handler.c."""

    def __init__(self, build, hold_ms=0):
        super().__init__("native-handler", "/hello.wasm")
        self.build, self.hold_ms = os.path.abspath(build), hold_ms

    def command(self):
        return [os.path.join(self.build, "benchmarks/native-handler"), "--listen", "127.0.0.1:%d" % self.port,
                "--workers", "1", "--hold-ms", str(self.hold_ms)]

    def worker(self):
        return next(pid for pid in process_tree(self.process.pid) if pid != self.process.pid)
