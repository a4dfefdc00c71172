"""Servers for the outbound tests to talk to, on loopback: one that speaks HTTP well and badly, and a DNS server."""
import functools
import gzip
import json
import socket
import socketserver
import struct
import threading
import time
import zlib
from urllib.parse import parse_qs, unquote, urlsplit

import nameserver


@functools.lru_cache(maxsize=None)
def bomb():
    """64 MiB of nothing, packed; made once."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()


class Handler(socketserver.StreamRequestHandler):
    """One request a connection, as bytes: an HTTP library would not do what some paths here do."""

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        head, body = head.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        length = int(dict((name.lower(), value) for name, value in headers).get("content-length", 0))
        while len(body) < length:
            data = self.request.recv(65536)
            if not data:
                return
            body += data
        self.server.seen.append((method, target, headers, body))
        url = urlsplit(target)
        arguments = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.server.counting:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            getattr(self, "do_" + unquote(url.path).strip("/").replace("/", "_"), self.do_missing)(
                method, headers, body, arguments)
        except OSError:
            pass
        finally:
            with self.server.counting:
                self.server.now -= 1

    def reply(self, body=b"", status="200 OK", fields=(), length=None):
        lines = ["HTTP/1.1 " + status, "Content-Length: %d" % (len(body) if length is None else length)]
        lines += ["%s: %s" % field for field in fields]
        self.request.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def do_missing(self, *_):
        self.reply(b"missing", "404 Not Found")

    def do_ok(self, method, *_):
        self.reply(b"" if method == "HEAD" else b"fine", fields=(("X-Two", "a"), ("X-Two", "b")),
                   length=4)

    def do_echo(self, method, headers, body, _):
        self.reply(json.dumps([method, headers, body.decode("latin-1")]).encode())

    def do_slow(self, _method, _headers, _body, arguments):
        time.sleep(int(arguments["ms"]) / 1000)
        self.reply(b"late")

    def do_size(self, _method, _headers, _body, arguments):
        self.reply(bytes(i % 251 for i in range(1000)) * (int(arguments["kb"])))

    def do_redirect(self, _method, _headers, _body, arguments):
        self.reply(b"over there", arguments.get("status", "302") + " Found", (("Location", arguments["to"]),))

    def do_loop(self, *_):
        self.reply(b"", "302 Found", (("Location", "/loop"),))

    def do_gzip(self, *_):
        self.reply(gzip.compress(b"unpacked " * 1000), fields=(("Content-Encoding", "gzip"),))

    def do_badgzip(self, *_):
        self.reply(b"this is no gzip at all", fields=(("Content-Encoding", "gzip"),))

    def do_bomb(self, *_):
        self.reply(bomb(), fields=(("Content-Encoding", "gzip"),))

    def do_endless(self, *_):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            self.request.sendall(bytes(65536))

    def do_drip(self, *_):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            self.request.sendall(b"x")
            time.sleep(0.05)

    def do_lying(self, *_):
        self.reply(b"short", length=5000)

    def do_liar(self, *_):
        self.reply(b"much more than was said", length=4)

    def do_huge(self, *_):
        self.reply(b"", length=1 << 40)

    def do_reset(self, *_):
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def do_silent(self, *_):
        self.request.settimeout(60)
        self.request.recv(1) # until the other side gives up

    def do_garbage(self, *_):
        self.request.sendall(b"\x00\x01\x02 what is this\r\n\r\n")

    def do_old(self, *_):
        self.request.sendall(b"no status line at all")

    def do_heads(self, *_):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n")

    def do_split(self, *_):
        self.request.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: yes\r\n"
                             b"Bad Name: x\r\nX-Control: a\x01b\r\nTransfer-Encoding: chunked\r\n\r\n"
                             b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


class Upstream(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 2048

    def __init__(self, address="127.0.0.1", context=None, port=0):
        bomb()
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.context = context
        self.seen, self.now, self.most, self.counting = [], 0, 0, threading.Lock()
        super().__init__((address, port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def finish_request(self, request, client_address):
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        self.RequestHandlerClass(request, client_address, self)
        if self.context:
            request.close() # the plain socket, which the caller closes, is no more

    def handle_error(self, request, client_address):
        pass

    def url(self, path, host="127.0.0.1"):
        return "http%s://%s:%d%s" % ("s" if self.context else "", host, self.port, path)

    def close(self):
        self.shutdown()
        self.server_close()


class Names(nameserver.Responder):
    """A DNS server whose answers are functions of how often a name was asked for: {name: [[address, …], …]}, the last
    list for all later questions. What it does not know does not exist."""

    def __init__(self, table):
        self.table = table
        self.asked = {}
        self.ids = []
        super().__init__()

    def datagrams(self, query):
        return [self.answer(query)]

    def answer(self, query):
        self.ids.append(query[:2])
        name, question = nameserver.asked(query)
        kind = struct.unpack(">H", question[-4:-2])[0]
        lists = self.table.get(name)
        if lists is None:
            return query[:2] + b"\x81\x83" + b"\0\1\0\0\0\0\0\0" + question
        turn = self.asked.get((name, kind), 0)
        self.asked[(name, kind)] = turn + 1
        records = b""
        count = 0
        for address in lists[min(turn, len(lists) - 1)]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind != (28 if family == socket.AF_INET6 else 1):
                continue
            data = socket.inet_pton(family, address)
            records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
            count += 1
        return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, count, 0, 0) + question + records
