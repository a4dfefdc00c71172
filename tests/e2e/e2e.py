"""What the end-to-end tests share: a server on a temporary root, and HTTP clients that can misbehave."""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

BUILD = os.environ.get("TF_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build")
PROGRAM = os.path.join(BUILD, "terrafirma")
# How long anything may take that must happen, but whose speed no test is about: builds on a busy machine.
PATIENCE = 90
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def has_clang():
    """The fast tier's compiler; an installation may do without."""
    return os.access("/usr/bin/clang", os.X_OK)


class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name):
        """The first field of that name, or None."""
        for key, value in self.headers:
            if key == name.lower():
                return value
        return None

    def __repr__(self):
        return "<%s %s %r %r>" % (self.status, self.reason, self.headers, self.body[:200])


class Connection:
    """One TCP connection that sends what it is told and parses what comes back."""

    def __init__(self, port, timeout=PATIENCE, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.pending = b""
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def _more(self):
        data = self.socket.recv(65536)
        self.pending += data
        return bool(data)

    def _line(self):
        while b"\n" not in self.pending:
            if not self._more():
                raise ConnectionError("closed inside a line: %r" % self.pending[:200])
        line, self.pending = self.pending.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def _exactly(self, count):
        while len(self.pending) < count:
            if not self._more():
                raise ConnectionError("closed with %d of %d bytes" % (len(self.pending), count))
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def read_response(self, method="GET"):
        version, status, reason = (self._line().split(" ", 2) + [""])[:3]
        if not version.startswith("HTTP/1."):
            raise ConnectionError("not HTTP: %r" % version)
        headers = []
        while True:
            line = self._line()
            if not line:
                break
            name, value = line.split(":", 1)
            headers.append((name.strip().lower(), value.strip()))
        response = Response(int(status), reason, headers, b"")
        if response.status == 100:
            return self.read_response(method)
        if method == "HEAD" or response.status in (204, 304):
            return response
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            while True:
                size = int(self._line().split(";")[0], 16)
                response.body += self._exactly(size)
                self._line()
                if size == 0:
                    return response
        if response.header("content-length") is not None:
            response.body = self._exactly(int(response.header("content-length")))
            return response
        while self._more():
            pass
        response.body, self.pending = self.pending, b""
        return response

    def ask(self, path="/", method="GET", host="localhost", headers=(), body=None):
        lines = ["%s %s HTTP/1.1" % (method, path)]
        if host is not None:
            lines.append("Host: " + host)
        lines += ["%s: %s" % field for field in headers]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)
        return self.read_response(method)

    def is_closed_within(self, seconds):
        """True once the other end closed (or reset) the connection; what it still sends is thrown away."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except socket.timeout:
                return False
            except OSError:
                return True


def spawn(command, **options):
    """subprocess.Popen of what is not to outlive this process, however that ends: a server takes its children along.
    To be called by a thread that stays."""
    def tie():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return subprocess.Popen(command, preexec_fn=tie, **options)


def end(process, patience=20):
    """SIGTERM, and SIGKILL where that does not help. None, or one that ended by itself, is fine."""
    if process is not None and process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def in_child(case, body):
    """Runs body() in a process of its own, as namespaces that it enters are for good. False from it: that is not
    allowed here, and the test is skipped."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 77 if body() is False else 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 77:
        case.skipTest("no namespaces here")
    case.assertEqual(status, 0)


PORTS_TAKEN = []  # sockets, each the claim to one port, for as long as this process lives


def _ports():
    """Below those that the kernel gives to whoever asks for any: nobody gets one by chance."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as stream:
        first = int(stream.read().split()[0])
    most = first if first > 14000 else 32768
    return list(range(most - 12000, most))


def _claim(port):
    """Whether the port is this process's now among all that ask here, and nobody else's either."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind("\0terrafirma-test-port-%d" % port)  # of this network namespace, like ports
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    PORTS_TAKEN.append(claim)
    return True


def free_port():
    """Free for TCP and UDP on 127.0.0.1, and given to no other test that runs at the same time."""
    for port in random.SystemRandom().sample(_ports(), 1000):
        if _claim(port):
            return port
    raise RuntimeError("no free port")


class Server:
    """`terrafirma serve` on a root of its own. Everything of it lies in one temporary folder."""

    def __init__(self, workers=1, limits=None, config=""):
        self.folder = tempfile.mkdtemp(prefix="tf-e2e-")
        self.root = os.path.join(self.folder, "root")
        self.cache = os.path.join(self.folder, "cache")
        self.log = os.path.join(self.folder, "log")
        self.workers = workers
        os.makedirs(os.path.join(self.root, "_default"))
        for name, value in (limits or {}).items():
            if "limits:" not in config:
                config += "limits:\n"
            config += "  %s: %s\n" % (name, value)
        self.config = os.path.join(self.folder, "terrafirma.yaml")
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(config)
        self.has_config = bool(config)
        self.port = free_port()
        self.process = None
        self.prefix = []  # what the command begins with
        self.crashes = False  # the test has a worker crash: else a report of one fails it, also while it stops

    def launch(self):
        assert self.process is None or self.process.poll() is not None, "a second one would be lost sight of"
        command = [*self.prefix, PROGRAM, "serve", "--root", self.root, "--cache", self.cache, "--listen",
                   "127.0.0.1:%d" % self.port, "--workers", str(self.workers)]
        if self.has_config:
            command += ["--config", self.config]
        with open(self.log, "ab") as log:
            self.process = spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def start(self):
        self.launch()
        self.until(self._answers, "the server answers")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("the server ended with %d:\n%s" % (self.process.returncode, self.log_tail()))
        try:
            with Connection(self.port, timeout=5) as connection:
                return connection.ask("/is-there-anybody").status in (404, 503)
        except OSError:
            return False

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is not None:
            sys.stderr.write(self.log_tail())
        self.close()

    def stop(self, timeout=30):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def close(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                sys.stderr.write("the server did not stop\n" + self.log_tail())
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        reports = re.findall(r".*crash: signal.*", self.log_text())
        shutil.rmtree(self.folder, ignore_errors=True)
        if reports and not self.crashes:
            raise AssertionError("a process of the server crashed: " + "\n".join(reports))

    def log_text(self):
        """What it printed, and what its log service wrote so far."""
        text = ""
        paths = [self.log]
        for folder, _, names in os.walk(os.path.join(self.cache, "log")):
            paths += [os.path.join(folder, name) for name in sorted(names)]
        for path in paths:
            try:
                with open(path, encoding="utf-8", errors="replace") as stream:
                    text += stream.read()
            except FileNotFoundError:
                pass
        return text

    def log_tail(self, lines=40):
        return "---- log ----\n" + "\n".join(self.log_text().split("\n")[-lines:]) + "\n"

    # -- the synced folder --

    def path(self, name, site="_default"):
        full = os.path.join(self.root, site, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def put(self, name, data, site="_default"):
        """As a copying program does: a temporary name, then a rename."""
        full = self.path(name, site)
        temporary = os.path.join(os.path.dirname(full), "." + os.path.basename(full) + ".tmp")
        with open(temporary, "wb") as stream:
            stream.write(data)
        os.rename(temporary, full)

    def overwrite(self, name, data, site="_default"):
        """As cp does: in place."""
        with open(self.path(name, site), "wb") as stream:
            stream.write(data)

    # -- clients --

    def ask(self, path="/", **arguments):
        with Connection(self.port) as connection:
            return connection.ask(path, **arguments)

    def raw(self, data, method="GET"):
        with Connection(self.port) as connection:
            connection.send(data)
            return connection.read_response(method)

    def until(self, condition, what, seconds=PATIENCE):
        """Waits until condition() is true and returns what it returned. Time in which the machine stood still, as it
        does for a snapshot, does not count."""
        deadline = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            before = time.monotonic()
            if before > deadline:
                raise AssertionError("not within %d s: %s\n%s" % (seconds, what, self.log_tail()))
            time.sleep(0.02)
            stood_still = time.monotonic() - before
            deadline += stood_still if stood_still > 2 else 0

    def wait_for(self, path, status=200, body=None, host="localhost", seconds=PATIENCE):
        """Asks until the answer has that status (and body)."""
        last = []

        def there():
            response = self.ask(path, host=host)
            last[:] = [response]
            return response if response.status == status and body in (None, response.body) else None

        try:
            return self.until(there, "%s of %s" % (status, path), seconds)
        except AssertionError as error:
            raise AssertionError("%s\nlast answer: %r" % (error, last)) from None

    # -- what it says of itself --

    def functions(self):
        """status.json as a dict: "site/path" → entry. Empty as long as there is none."""
        roots = os.path.join(self.cache, "roots")
        for name in os.listdir(roots) if os.path.isdir(roots) else []:
            try:
                with open(os.path.join(roots, name, "status.json"), encoding="utf-8") as stream:
                    document = json.load(stream)
            except FileNotFoundError:
                continue
            return {"%s/%s" % (entry["site"], entry["path"]): entry for entry in document["functions"]}
        return {}

    def wait_for_state(self, name, state, seconds=PATIENCE):
        found = self.until(lambda: (self.functions().get(name) or {}).get("state") == state and self.functions()[name],
                           "%s is %s" % (name, state), seconds)
        return found

    def worker_pids(self):
        """Children (and theirs) that hold a listening socket's copy and are no builder, by their command lines."""
        found = []
        for pid in descendants(self.process.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as stream:
                    command = stream.read().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if "worker" in command:
                found.append(pid)
        return sorted(found)


def descendants(pid):
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as stream:
                    parent = int(stream.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def running(pids):
    """Those that run. What died and was not yet waited for counts as gone: that is for the machine's first process."""
    found = []
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
                state = stream.read().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if state not in "ZX":
            found.append(pid)
    return found


class Case(unittest.TestCase):
    """A test case with one server for all its methods."""
    workers, limits, config = 1, None, ""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.workers, cls.limits, cls.config)
        try:
            cls.prepare(cls.server)
            cls.server.start()
        except BaseException:
            cls.server.close()
            raise

    @classmethod
    def prepare(cls, server):
        """Files that lie there before the server starts."""

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            sys.stderr.write(self.server.log_tail())

    def assert_status(self, response, status):
        self.assertEqual(response.status, status, repr(response))


def main():
    unittest.main(verbosity=2)
