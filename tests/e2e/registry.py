"""Registries for tests: Debian's docker-registry, others made of Go's modules, and one that stands in front of another
and lies."""
import base64
import crypt
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from e2e import PATIENCE, free_port, spawn

BUILD = os.environ.get("TF_BUILD", "build")


class Registry:
    """docker-registry on a port of 127.0.0.1. What it holds survives kill() and start()."""
    PROGRAM = "/usr/bin/docker-registry"
    MODULE = None  # of Go's, where it is made
    HAS_USERS_AND_TLS = True
    FORGETS = False  # its manifests, when it ends

    def __init__(self, users=None, certificate=None):
        self.folder = tempfile.mkdtemp(prefix="tf-registry-")
        self.port = free_port()
        self.process = None
        config = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
                  "storage": {"filesystem": {"rootdirectory": self.folder + "/data"}},
                  "http": {"addr": "127.0.0.1:%d" % self.port, "secret": "for tests"}}
        if users:
            with open(self.folder + "/htpasswd", "w", encoding="ascii") as stream:
                for name, password in users.items():
                    salt = crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 4)
                    stream.write("%s:%s\n" % (name, crypt.crypt(password, salt)))
            config["auth"] = {"htpasswd": {"realm": "tests", "path": self.folder + "/htpasswd"}}
        if certificate:
            config["http"]["tls"] = {"certificate": certificate + ".pem", "key": certificate + ".key"}
        with open(self.folder + "/config.yml", "w", encoding="utf-8") as stream:
            json.dump(config, stream)  # which is YAML, too

    def command(self):
        return [self.PROGRAM, "serve", self.folder + "/config.yml"]

    def start(self):
        self.process = spawn(self.command(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, rest, port=None):
        return "oci://127.0.0.1:%d/%s" % (port or self.port, rest)


class Distribution(Registry):
    """What became of docker-registry since Debian took it."""
    PROGRAM = os.path.join(os.path.abspath(BUILD), "registries", "registry")
    MODULE = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"


class Crane(Registry):
    """Google's go-containerregistry: another server of the protocol from the ground up. Blobs lie on disk, manifests do
    not."""
    PROGRAM = os.path.join(os.path.abspath(BUILD), "registries", "crane")
    MODULE = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
    HAS_USERS_AND_TLS, FORGETS = False, True

    def command(self):
        os.makedirs(self.folder + "/data", exist_ok=True)
        return [self.PROGRAM, "registry", "serve", "--address", "127.0.0.1:%d" % self.port, "--disk",
                self.folder + "/data"]


def made(kind):
    """Whether there is a program for this kind of registry, which is made where it can be."""
    if kind.MODULE is None or os.path.exists(kind.PROGRAM):
        return os.path.exists(kind.PROGRAM)
    go = shutil.which("go")
    result = go and subprocess.run([go, "install", kind.MODULE], stdin=subprocess.DEVNULL, timeout=1200, check=False,
                                   env={**os.environ, "GOBIN": os.path.dirname(kind.PROGRAM)})
    return bool(result) and result.returncode == 0


class Asked:
    def __init__(self, handler):
        self.method, self.path = handler.command, handler.path
        self.authorization, self.range = handler.headers.get("Authorization"), handler.headers.get("Range")

    def __repr__(self):
        return "%s %s %s" % (self.method, self.path, self.range or "")


class Front:
    """Passes requests on to a registry, and writes down what was asked. `hook(handler)` may answer in its place: it
    says whether it did. `change(handler, response)` may alter [status, headers, body] of what comes back."""

    def __init__(self, behind=None):
        self.behind = behind
        self.asked = []
        self.hook = self.change = None
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def say(self, status, headers=(), body=b"", length=None):
                """A whole answer, whose length may be another than it says."""
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if length is not False:
                    self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def answer(self):
                front.asked.append(Asked(self))
                try:
                    if front.hook and front.hook(self):  # pylint: disable=not-callable
                        self.close_connection = True
                        return
                    self.pass_on()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                behind = http.client.HTTPConnection("127.0.0.1", front.behind.port, timeout=PATIENCE)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "authorization"}
                    behind.request(self.command, self.path, body, headers)
                    got = behind.getresponse()
                    whole = [got.status, [field for field in got.getheaders() if field[0].lower() not in (
                        "content-length", "transfer-encoding", "connection", "date")], got.read()]
                    length = got.getheader("Content-Length") if self.command == "HEAD" else None
                finally:
                    behind.close()
                if front.change:
                    front.change(self, whole)  # pylint: disable=not-callable
                self.say(*whole, length=length)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = answer

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def url(self, rest, host="127.0.0.1"):
        return "oci://%s:%d/%s" % (host, self.port, rest)

    def count(self, method, part):
        return sum(1 for asked in self.asked if asked.method == method and part in asked.path)


class Tokens(Front):
    """A token service: gives a token to who has the password, and writes down who asked for what."""

    def __init__(self, user, password):
        super().__init__()
        self.right = "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
        self.scopes, self.given = [], 0
        self.valid = set()
        self.hook = self.give

    def give(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        self.scopes.append((query.get("service"), query.get("scope")))
        if handler.headers.get("Authorization") != self.right:
            handler.say(401, body=b"{}")
            return True
        self.given += 1
        token = "token-%d" % self.given
        self.valid = {"Bearer " + token}
        handler.say(200, [("Content-Type", "application/json")], json.dumps({"token": token}).encode())
        return True

    def guard(self, host="127.0.0.1"):
        """A hook for a registry in front of which this stands."""
        def judge(handler):
            if handler.headers.get("Authorization") in self.valid:
                return False
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            handler.say(401, [("WWW-Authenticate",
                               'Bearer realm="http://%s:%d/token",service="the, registry",'
                               'scope="repository:other/name:pull,push,delete"' % (host, self.port))])
            return True
        return judge


def auth_file(path, host, user, password, mode=0o600):
    """As docker login writes it."""
    both = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    with open(path, "w", encoding="ascii") as stream:
        json.dump({"auths": {"elsewhere:1": {"auth": "eDp5"}, host: {"auth": both}}}, stream)
    os.chmod(path, mode)
    return path
