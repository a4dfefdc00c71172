"""An ACME authority for tests: pebble, behind a proxy that counts, and that can refuse.

Validation goes to the ports of the server under test, whatever the host: pebble asks a DNS server of ours, which
answers every question with 127.0.0.1. The server trusts the proxy's key because it is started in a mount namespace
of its own, where the system's list of authorities is another (`trusting`).
"""
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import e2e
import nameserver
import tls

PEBBLE, CLIENT = "/usr/bin/pebble", "/usr/bin/uacme"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]


def missing():
    """What these tests need and this machine lacks; empty where nothing is."""
    found = [path for path in (PEBBLE, CLIENT, BUNDLE) if not os.path.exists(path)]
    if subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        found.append("mount namespaces")
    return ", ".join(found)


def trusting(bundle):
    """What a command begins with to take the authorities of `bundle` for the system's."""
    return [*UNSHARE, "sh", "-c", 'mount --bind "$0" %s && exec "$@"' % BUNDLE, bundle]


class Resolver(nameserver.Responder):
    """Answers every A question with 127.0.0.1, and all others with nothing."""

    def datagrams(self, query):
        _, question = nameserver.asked(query)
        address = [b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1"] if question[-4:] == b"\0\1\0\1" else []
        return [nameserver.reply(query, question, address, flags=0x8580)]


class Authority:
    """`directory` is its URL. `count("/order")` says how often something was asked for."""

    def __init__(self, http_port, tls_port, validity_s=None, dns_port=None):
        self.folder = tempfile.mkdtemp(prefix="tf-pebble-")
        self.port, self.proxy_port, self.management = e2e.free_port(), e2e.free_port(), e2e.free_port()
        self.resolver = None if dns_port else Resolver()
        chain, key = tls.make_certificate(self.folder, "pebble", ["localhost"])
        self.chain, self.key = chain, key
        config = {"listenAddress": "127.0.0.1:%d" % self.port,
                  "managementListenAddress": "127.0.0.1:%d" % self.management,
                  "certificate": chain, "privateKey": key, "httpPort": http_port, "tlsPort": tls_port,
                  "ocspResponderURL": "", "externalAccountBindingRequired": False}
        if validity_s:
            config["certificateValidityPeriod"] = validity_s
        path = os.path.join(self.folder, "config.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"pebble": config}, stream)
        self.log = open(os.path.join(self.folder, "log"), "wb")
        environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
        self.process = e2e.spawn([PEBBLE, "-config", path, "-dnsserver", "127.0.0.1:%d" %
                                  (dns_port or self.resolver.port)],
                                 stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment,
                                 cwd=self.folder, start_new_session=True)
        self.asked = []
        self.refuses = False  # everything, with 500
        self.goes_on = threading.Event()  # not set: nothing is answered for now
        self.goes_on.set()
        self._start_proxy()
        self.directory = "https://localhost:%d/dir" % self.proxy_port

    def _start_proxy(self):
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self):
                authority.asked.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                authority.goes_on.wait(e2e.PATIENCE)
                if authority.refuses:
                    self.send_response(500)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                upstream = http.client.HTTPSConnection("127.0.0.1", authority.port, context=context, timeout=60)
                headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                upstream.close()

            do_GET = do_HEAD = do_POST = forward
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.proxy_port), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def is_up(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def root(self):
        """The certificate that all it issues hang on, in PEM."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.management, context=context, timeout=e2e.PATIENCE)
        connection.request("GET", "/roots/0")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def count(self, part):
        return sum(part in path for path in self.asked)

    def log_text(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def close(self):
        self.goes_on.set()
        self.server.shutdown()
        self.server.server_close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        if self.resolver is not None:
            self.resolver.close()
        shutil.rmtree(self.folder, ignore_errors=True)
