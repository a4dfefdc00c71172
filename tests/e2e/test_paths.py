"""Hosts that are no hosts, and paths that want out."""
import os
import unittest

import e2e
import guests

SECRET = b"the secret beside the root"


class Refusals(e2e.Case):
    @classmethod
    def prepare(cls, server):
        server.put("ok.wasm", guests.answer("fine"))
        server.put("deep/fn.wasm", guests.answer("deep"))
        server.put("page.html", b"<p>page")
        server.put("deep/index.html", b"<p>deep")
        server.put("index.html", b"<p>front")
        server.put(".hidden", SECRET)
        server.put(".git/config", SECRET)
        for site in ("private", "public", "team", "_hidden", ".well", "other.example"):
            server.put("file.txt", b"inside " + site.encode() if site == "other.example" else SECRET, site=site)
            server.put("alice/file.txt", SECRET, site=site)
        with open(os.path.join(server.folder, "secret.txt"), "wb") as stream:
            stream.write(SECRET)
        with open(os.path.join(server.root, "at-root.txt"), "wb") as stream:
            stream.write(SECRET)
        os.symlink(os.path.join(server.folder, "secret.txt"), server.path("link.txt"))
        os.symlink("../../secret.txt", server.path("relative-link.txt"))
        os.symlink(server.folder, server.path("linked-folder"))
        os.symlink("/etc", server.path("etc"))
        os.symlink(server.folder, os.path.join(server.root, "linked.example"))
        with open(os.path.join(server.folder, "outside.wasm"), "wb") as stream:
            stream.write(guests.answer("outside"))
        os.symlink(os.path.join(server.folder, "outside.wasm"), server.path("outside.wasm"))

    def refuse(self, path, host="localhost", statuses=(400, 403, 404)):
        response = self.server.ask(path, host=host)
        self.assertIn(response.status, statuses, (path, host, response))
        self.assertNotIn(SECRET, response.body)
        self.assertNotIn(b"root:", response.body)

    def test_dots_and_escapes(self):
        self.server.wait_for("/ok.wasm")
        for path in ("/..", "/../", "/../at-root.txt", "/../../secret.txt", "/../other.example/file.txt",
                     "/deep/../../at-root.txt", "/%2e%2e/at-root.txt", "/%2E%2E/%2e%2e/secret.txt", "/.%2e/at-root.txt",
                     "/..%2fat-root.txt", "/..%2Fat-root.txt", "/deep%2f..%2f..%2fat-root.txt", "/..%5cat-root.txt",
                     "/..\\at-root.txt", "/%2fetc/passwd", "//etc/passwd", "/./../at-root.txt",
                     "/deep//../../at-root.txt",
                     "/....//at-root.txt", "/..;/at-root.txt", "/%252e%252e/at-root.txt", "/.hidden", "/%2ehidden",
                     "/.git/config", "/deep/..%00/", "/page.html%00", "/page.html%00.wasm", "/%00", "/page.html%",
                     "/page.html%2", "/page.html%zz", "/%c0%ae%c0%ae/at-root.txt"):
            with self.subTest(path):
                self.refuse(path)
        self.assert_status(self.server.ask("/ok.wasm"), 200)

    def test_a_dot_segment_never_leaves_the_site(self):
        # Whether it is refused or resolved within the site: never another site's file.
        for path in ("/deep/../page.html", "/./page.html", "/deep/./index.html", "/../page.html"):
            response = self.server.ask(path)
            self.assertIn(response.status, (200, 400, 404))
            if response.status == 200:
                self.assertTrue(response.body.startswith(b"<p>"))

    def test_symbolic_links_out(self):
        for path in ("/link.txt", "/relative-link.txt", "/linked-folder/secret.txt", "/linked-folder/", "/etc/passwd",
                     "/outside.wasm", "/outside"):
            with self.subTest(path):
                self.refuse(path)
        self.refuse("/secret.txt", host="linked.example")

    def test_wasm_bytes_are_never_handed_out(self):
        self.server.wait_for("/ok.wasm")
        for path in ("/ok.wasm", "/ok%2ewasm", "/%6fk.wasm", "/ok.was%6d", "/deep/fn.wasm", "/deep/../ok.wasm",
                     "/ok.wasm."):
            response = self.server.ask(path)
            self.assertNotIn(b"\0asm", response.body, path)

    def test_reserved_hosts(self):
        for host in ("private", "public", "team", "PRIVATE", "Private:80", "private.", "_hidden", ".well", "_default",
                     "private/alice", "private%2falice", "../root", "..", ".", "", " ", "a/b", "a\\b", "[::1", "a b",
                     "-a.example", "a..example", "x" * 254, "a" * 64 + ".example", "other.example/../private",
                     "other.example:port", "other.example:99999999", "other.example@private", "%6ftherexample"):
            for path in ("/file.txt", "/alice/file.txt", "/"):
                with self.subTest(host=host, path=path):
                    self.refuse(path, host)

    def test_other_site(self):
        self.assertEqual(self.server.ask("/file.txt", host="other.example").body, b"inside other.example")
        self.assert_status(self.server.ask("/page.html", host="other.example"), 404)
        # A host without a folder of its own gets the default site.
        self.assertEqual(self.server.ask("/page.html", host="nobody.example").body, b"<p>page")
        self.assertEqual(self.server.ask("/page.html", host="127.0.0.1:%d" % self.server.port).body, b"<p>page")
        self.assertEqual(self.server.ask("/page.html", host="[::1]:80").body, b"<p>page")

    def test_absolute_form_names_the_host(self):
        response = self.server.raw("GET http://other.example/file.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(response.status, (200, 400))
        if response.status == 200:
            self.assertEqual(response.body, b"inside other.example")
        for target in ("http://private/file.txt", "http://private/alice/file.txt", "http://_hidden/file.txt",
                       "http://../file.txt", "http:///file.txt", "http://localhost/../at-root.txt",
                       "ftp://private/file.txt"):
            response = self.server.raw("GET %s HTTP/1.1\r\nHost: other.example\r\n\r\n" % target)
            self.assertNotIn(SECRET, response.body)
            if target != "http:///file.txt":
                self.assertIn(response.status, (400, 403, 404), target)

    def test_no_host_or_two(self):
        self.assert_status(self.server.raw("GET /page.html HTTP/1.1\r\n\r\n"), 400)
        response = self.server.raw("GET /file.txt HTTP/1.1\r\nHost: other.example\r\nHost: private\r\n\r\n")
        self.assertEqual(response.status, 400, response)
        response = self.server.raw("GET /page.html HTTP/1.0\r\n\r\n")
        self.assertIn(response.status, (200, 400))

    def test_malformed_requests(self):
        for request in (b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET /page.html HTTP/9.9\r\n\r\n",
                        b"GET page.html HTTP/1.1\r\nHost: localhost\r\n\r\n",
                        b"GET /page.html HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n",
                        b"POST /ok.wasm HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                        b"POST /ok.wasm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                        b"POST /ok.wasm HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with e2e.Connection(self.server.port, timeout=20) as connection:
                connection.send(request)
                connection.socket.shutdown(1)
                try:
                    self.assertGreaterEqual(connection.read_response().status, 400)
                except ConnectionError:
                    pass # closing without a word is an answer too
            self.assert_status(self.server.ask("/page.html"), 200)

    def test_smuggling(self):
        # Two lengths, or a length beside chunks: never a second request out of the body.
        hidden = "GET /ok.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for fields in ("Content-Length: 0\r\nContent-Length: %d" % len(hidden),
                       "Content-Length: %d\r\nTransfer-Encoding: chunked" % (len(hidden) + 5),
                       "Transfer-Encoding: chunked, identity\r\nContent-Length: %d" % len(hidden)):
            with e2e.Connection(self.server.port, timeout=20) as connection:
                connection.send("POST /page.html HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n0\r\n\r\n%s"
                                % (fields, hidden))
                answers = []
                try:
                    connection.socket.settimeout(2)
                    while True:
                        answers.append(connection.read_response())
                except OSError:
                    pass
                if answers and answers[0].status == 400:
                    self.assertEqual(len(answers), 1, "the connection ends with the refusal")

    def test_methods(self):
        self.server.wait_for("/ok.wasm")
        for method, path, statuses in (("CONNECT", "localhost:80", (400, 404, 405, 501)),
                                       ("TRACE", "/ok.wasm", (405, 501)), ("BREW", "/ok.wasm", (405, 501)),
                                       ("POST", "/page.html", (405,)),
                                       ("DELETE", "/page.html", (405,)), ("PUT", "/ok.wasm", (200,)),
                                       ("OPTIONS", "/ok.wasm", (200,)), ("PATCH", "/ok.wasm", (200,))):
            with self.subTest(method=method, path=path):
                self.assertIn(self.server.ask(path, method=method, body=b"").status, statuses)


if __name__ == "__main__":
    unittest.main(verbosity=2)
