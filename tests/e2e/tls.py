"""What the tests of TLS share: certificates made on the spot, and clients that speak TLS."""
import json
import os
import shutil
import ssl
import subprocess
import tempfile

import e2e


def make_certificate(folder, name, hosts, kind="ec", days=30, layout="pair"):
    """NAME.pem and NAME.key (or NAME/fullchain.pem and NAME/privkey.pem), signed by itself."""
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["-newkey", "rsa:2048"]
    work = tempfile.mkdtemp(prefix="tf-cert-")
    chain, key = os.path.join(work, "c"), os.path.join(work, "k")
    subprocess.run(["openssl", "req", "-x509", *options, "-nodes", "-keyout", key, "-out", chain, "-days", str(days),
                    "-subj", "/CN=" + hosts[0], "-addext",
                    "subjectAltName=" + ",".join("DNS:" + host for host in hosts)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    if layout == "folder":
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        places = os.path.join(folder, name, "fullchain.pem"), os.path.join(folder, name, "privkey.pem")
    else:
        places = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    shutil.move(key, places[1])
    shutil.move(chain, places[0])
    shutil.rmtree(work)
    return places


def fingerprint(path):
    with open(path, encoding="ascii") as stream:
        return ssl.PEM_cert_to_DER_cert(stream.read())


class Connection(e2e.Connection):
    """The same after a TLS handshake; nothing of the certificate is verified, `self.certificate` is it."""

    def __init__(self, port, name, timeout=e2e.PATIENCE, context=None, session=None, alpn=None):
        super().__init__(port, timeout)
        if context is None:
            context = client_context(alpn)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise
        self.certificate = self.socket.getpeercert(True)


def client_context(alpn=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class RecordCounter(e2e.Connection):
    """A connection of TLS 1.2, which counts the records that bring content: those say so in their first byte."""

    CONTENT = 23

    def __init__(self, port, name):
        super().__init__(port)
        self.records, self._raw = 0, b""
        self._incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._outgoing = outgoing
        self._tls = client_context(version=ssl.TLSVersion.TLSv1_2).wrap_bio(self._incoming, outgoing,
                                                                            server_hostname=name)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, function, *arguments):
        """What the function returns, once as much has come as it needs; None: the connection ended."""
        while True:
            try:
                result = function(*arguments)
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self.socket.recv(65536)
                if not data:
                    return None
                self._count(data)
                self._incoming.write(data)
        self._flush()
        return result

    def _flush(self):
        self.socket.sendall(self._outgoing.read())

    def _count(self, data):
        self._raw += data
        while len(self._raw) >= 5:
            length = 5 + int.from_bytes(self._raw[3:5], "big")
            if len(self._raw) < length:
                return
            self.records += self._raw[0] == self.CONTENT
            self._raw = self._raw[length:]

    def send(self, data):
        self._until_done(self._tls.write, data.encode("latin-1") if isinstance(data, str) else data)

    def _more(self):
        data = self._until_done(self._tls.read, 65536)
        self.pending += data or b""
        return bool(data)


class Server(e2e.Server):
    """A server with `listen_tls`; certificates lie in `self.certificates`."""

    def __init__(self, workers=1, limits=None, tls=None, certificates=True, config=""):
        self.tls_port = e2e.free_port()
        self.certificates = tempfile.mkdtemp(prefix="tf-certs-")
        lines = ["listen_tls: 127.0.0.1:%d" % self.tls_port, "tls:", "  look_s: 1"]
        if certificates:
            lines.append("  certificates: " + self.certificates)
        lines += ["  %s: %s" % pair for pair in (tls or {}).items()]
        super().__init__(workers, limits, config + "\n".join(lines) + "\n")

    def start(self):
        super().start()
        self.until(lambda: not any(b"is starting" in self.ask("/is-there-anybody").body for _ in range(8)),
                   "all workers have routes")
        return self

    def close(self):
        super().close()
        shutil.rmtree(self.certificates, ignore_errors=True)

    def secure(self, name, **arguments):
        return Connection(self.tls_port, name, **arguments)

    def ask_secure(self, path="/", name="a.test", **arguments):
        with self.secure(name) as connection:
            return connection.ask(path, **{"host": name, **arguments})

    def serves(self, name):
        try:
            with self.secure(name, timeout=10):
                return True
        except (ssl.SSLError, OSError):
            return False

    def alert(self, name, **arguments):
        """The reason for which a handshake fails, as OpenSSL words it; None where it succeeds."""
        try:
            with self.secure(name, **arguments):
                return None
        except ssl.SSLError as error:
            return error.reason or "ONE THAT PYTHON DOES NOT KNOW"
        except ConnectionError:
            return "CLOSED"

    def s_client(self, *options, text=""):
        """What openssl s_client prints."""
        done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.tls_port, *options],
                              input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=e2e.PATIENCE, check=False)
        return done.stdout.decode("utf-8", "replace")

    def status(self, *options):
        """What `terrafirma status` prints, and says."""
        done = subprocess.run([e2e.PROGRAM, "status", "--root", self.root, "--cache", self.cache, *options],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=e2e.PATIENCE, check=True)
        return done.stdout.decode()

    def reported(self):
        """Rows of the report of certificates, by their first host, or by the file that could not be used."""
        rows = json.loads(self.status("--json")).get("tls", {}).get("certificates", [])
        return {(row.get("hosts") or [row.get("file")])[0]: row for row in rows}

    def children(self, command):
        """Process ids of the server's children of that command, as _worker."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as stream:
                    words = stream.read().split(b"\0")
                with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as stream:
                    parent = int(stream.read().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue
            if parent == self.process.pid and len(words) > 1 and words[1] == command.encode():
                found.append(int(pid))
        return found
