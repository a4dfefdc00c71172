"""Files beside functions: types, validators, ranges."""
import email.utils
import os
import time

import e2e
import guests

BODY = bytes(range(256)) * 40


class Static(e2e.Case):
    @classmethod
    def prepare(cls, server):
        server.put("index.html", b"<h1>front</h1>")
        server.put("data.bin", BODY)
        server.put("empty.txt", b"")
        server.put("sub/index.html", b"<h1>sub</h1>")
        server.put("style.css", b"p { color: red }")
        server.put("app.js", b"1")
        server.put("a.json", b"{}")
        server.put("pic.svg", b"<svg/>")
        server.put("noext", b"plain bytes")
        server.put("with space.txt", b"spaced")
        server.put("\u00fcmlaut.txt", b"umlaut")
        server.put("large.bin", b"L" * (20 << 20))
        server.put("fn.wasm", guests.answer("function"))
        server.put("other.html", b"<p>beside fn")
        os.mkfifo(server.path("pipe.txt"))

    def test_types(self):
        for path, kind in (("/index.html", "text/html"), ("/style.css", "text/css"), ("/app.js", "javascript"),
                           ("/a.json", "application/json"), ("/pic.svg", "image/svg+xml"), ("/empty.txt", "text/plain"),
                           ("/noext", "application/octet-stream"), ("/", "text/html"), ("/sub/", "text/html")):
            response = self.server.ask(path)
            self.assert_status(response, 200)
            self.assertIn(kind, response.header("content-type"), path)

    def test_bodies(self):
        for path, body in (("/data.bin", BODY), ("/empty.txt", b""), ("/", b"<h1>front</h1>"),
                           ("/sub/", b"<h1>sub</h1>"), ("/with%20space.txt", b"spaced"),
                           ("/%C3%BCmlaut.txt", b"umlaut"), ("/noext", b"plain bytes"),
                           ("/index.html?query=1", b"<h1>front</h1>")):
            response = self.server.ask(path)
            self.assert_status(response, 200)
            self.assertEqual(response.body, body, path)
        response = self.server.ask("/large.bin")
        self.assertEqual((len(response.body), response.body.count(b"L")), (20 << 20, 20 << 20))

    def test_a_folder_without_its_slash(self):
        response = self.server.ask("/sub")
        self.assertIn(response.status, (301, 302, 308, 404))
        if response.status != 404:
            self.assertTrue(response.header("location").endswith("/sub/"))

    def test_what_is_no_file(self):
        for path in ("/pipe.txt", "/none", "/index.html/", "/index.html/more", "/sub/none/", "/data.bin/x"):
            self.assert_status(self.server.ask(path), 404)

    def test_head(self):
        with e2e.Connection(self.server.port) as connection:
            head = connection.ask("/data.bin", method="HEAD")
            self.assertEqual(head.header("content-length"), str(len(BODY)))
            self.assertEqual(connection.ask("/data.bin").body, BODY)
            self.assertEqual(connection.ask("/data.bin").header("etag"), head.header("etag"))

    def test_head_of_a_function(self):
        self.server.wait_for("/fn.wasm")
        with e2e.Connection(self.server.port) as connection:
            self.assert_status(connection.ask("/fn.wasm", method="HEAD"), 200)
            self.assertEqual(connection.ask("/fn.wasm").body, b"function")

    def test_conditional(self):
        first = self.server.ask("/data.bin")
        etag, modified = first.header("etag"), first.header("last-modified")
        self.assertRegex(etag, r'^(W/)?".+"$')
        self.assertIsNotNone(email.utils.parsedate_to_datetime(modified))
        with e2e.Connection(self.server.port) as connection:
            for fields, status in (((("If-None-Match", etag),), 304), ((("If-None-Match", '"other"'),), 200),
                                   ((("If-None-Match", "*"),), 304), ((("If-None-Match", '"a", ' + etag),), 304),
                                   ((("If-Modified-Since", modified),), 304),
                                   ((("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),), 200),
                                   ((("If-Modified-Since", "nonsense"),), 200),
                                   ((("If-None-Match", '"other"'), ("If-Modified-Since", modified)), 200)):
                response = connection.ask("/data.bin", headers=fields)
                self.assertEqual(response.status, status, fields)
                if status == 304:
                    self.assertEqual(response.header("etag"), etag)

    def test_ranges(self):
        size = len(BODY)
        with e2e.Connection(self.server.port) as connection:
            for value, first, last in (("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=10-", 10, size - 1),
                                       ("bytes=-1", size - 1, size - 1), ("bytes=-%d" % (size * 2), 0, size - 1),
                                       ("bytes=5-%d" % (size * 3), 5, size - 1)):
                response = connection.ask("/data.bin", headers=[("Range", value)])
                self.assertEqual(response.status, 206, value)
                self.assertEqual(response.header("content-range"), "bytes %d-%d/%d" % (first, last, size))
                self.assertEqual(response.body, BODY[first:last + 1], value)
            for value in ("bytes=%d-" % size, "bytes=%d-%d" % (size + 5, size + 9), "bytes=-0"):
                response = connection.ask("/data.bin", headers=[("Range", value)])
                self.assertEqual(response.status, 416, value)
                self.assertEqual(response.header("content-range"), "bytes */%d" % size)
            # What is no range, or not one we know, is answered whole (or, malformed, refused).
            for value in ("lines=1-2", "bytes=9-5", "bytes=x-y", "bytes=99999999999999999999999-", "bytes=0-1," * 500):
                response = connection.ask("/data.bin", headers=[("Range", value)])
                self.assertIn(response.status, (200, 206, 416), value)
                self.assertLessEqual(len(response.body), 2 * size)

    def test_several_ranges(self):
        response = self.server.ask("/data.bin", headers=[("Range", "bytes=0-1,10-11")])
        self.assertIn(response.status, (200, 206))
        if response.status == 200:
            self.assertEqual(response.body, BODY)

    def test_if_range(self):
        etag = self.server.ask("/data.bin").header("etag")
        with e2e.Connection(self.server.port) as connection:
            fields = [("Range", "bytes=0-3"), ("If-Range", '"stale"')]
            self.assertEqual(connection.ask("/data.bin", headers=fields).body, BODY)
            if not etag.startswith("W/"):
                fields[1] = ("If-Range", etag)
                self.assert_status(connection.ask("/data.bin", headers=fields), 206)

    def test_a_changed_file_has_another_tag(self):
        self.server.put("changing.txt", b"one")
        first = self.server.wait_for("/changing.txt", body=b"one")
        time.sleep(0.02)
        self.server.put("changing.txt", b"two")
        second = self.server.wait_for("/changing.txt", body=b"two")
        self.assertNotEqual(first.header("etag"), second.header("etag"))

    def test_functions_come_before_files(self):
        self.server.wait_for("/fn.wasm")
        self.assertEqual(self.server.ask("/fn").body, b"function")
        self.assertEqual(self.server.ask("/fn.wasm/index.html").body, b"function")
        self.assertEqual(self.server.ask("/other.html").body, b"<p>beside fn")
        for path in ("/fn.wasmx", "/fn.was", "/fn.wasm.txt", "/sub/fn.wasm"):
            self.assert_status(self.server.ask(path), 404)

    def test_a_folder_named_like_a_function(self):
        self.server.put("dir.wasm/file", b"inside")
        self.assertIn(self.server.ask("/dir.wasm/file").status, (200, 404))
        self.assert_status(self.server.ask("/dir.wasm"), 404)


if __name__ == "__main__":
    e2e.main()
