"""Files beside functions: types, validators, ranges."""
import collections
import email.utils
import gzip
import itertools
import os
import threading
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

    def replace_all_the_time(self, name, is_over):
        """As Syncthing does: the old file goes before the new one gets its name."""
        for turn in itertools.count():
            self.server.put(".new", b"%d " % turn * 400)
            os.unlink(self.server.path(name))
            time.sleep(0.02)
            os.rename(self.server.path(".new"), self.server.path(name))
            if is_over.wait(0.4):
                return

    def test_a_file_that_is_deleted_before_the_new_one_gets_its_name(self):
        for name in ("moving/page.html", "moving/index.html"):
            self.server.put(name, b"first")
            is_over = threading.Event()
            writer = threading.Thread(target=self.replace_all_the_time, args=(name, is_over))
            writer.start()
            try:
                path = "/" + name.removesuffix("index.html")
                statuses, until = collections.Counter(), time.monotonic() + 2
                while time.monotonic() < until:
                    statuses[self.server.ask(path).status] += 1
            finally:
                is_over.set()
                writer.join()
            self.assertEqual(list(statuses), [200], name)
            os.unlink(self.server.path(name))
            self.assert_status(self.server.ask("/" + name), 404)

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


TEXT = b"a line of text that repeats itself\n" * 400


class Better(e2e.Case):
    """What a site gets beyond plain files: pages for errors, functions for folders, compressed copies."""

    @classmethod
    def prepare(cls, server):
        put = server.put
        put("404.html", b"<h1>nothing</h1>")
        put("index.wasm", guests.answer("front"))
        put("index.html", b"never seen")
        put("sub/index.wasm", guests.answer("sub"))
        put("files/x.txt", b"x")
        put("style.css", b"plain css")
        put("style.css.gz", b"gzip bytes")
        put("style.css.br", b"br bytes")
        put("style.css.zst", b"zstd bytes")
        put("stale.css", b"newer")
        put("stale.css.gz", b"older")
        old = time.time() - 1000
        os.utime(server.path("stale.css.gz"), (old, old))
        put("linked.css", b"plain")
        put("secret.bin", b"other bytes")
        os.symlink("secret.bin", server.path("linked.css.gz"))
        put("pic.png", b"png")
        put("pic.png.gz", b"never")
        put("text.txt", TEXT)
        put("small.txt", b"small")
        put("noise.txt", os.urandom(5000))
        put("users/[id].wasm", guests.says("x-path-id"))
        put("users/[id]/posts.wasm", guests.says("x-path-id"))
        put("users/[id]/index.wasm", guests.says("x-path-id"))
        put("users/me.wasm", guests.answer("me"))
        put("users/file.txt", b"a file")
        put("docs/[...rest].wasm", guests.says("x-path-rest"))
        put("docs/page.html", b"a page")

    def test_a_page_for_what_is_not_there(self):
        for path in ("/none", "/none/", "/none.wasm", "/files/none.txt", "/.hidden", "//"):
            response = self.server.ask(path)
            self.assertEqual((response.status, response.body), (404, b"<h1>nothing</h1>"), path)
            self.assertIn("text/html", response.header("content-type"))
        response = self.server.ask("/none", headers=[("Range", "bytes=0-1"), ("If-None-Match", "*")])
        self.assertEqual((response.status, response.body), (404, b"<h1>nothing</h1>"))
        self.assertEqual(self.server.ask("/none", method="HEAD").header("content-length"), "16")

    def test_a_function_for_a_folder(self):
        self.server.wait_for("/", body=b"front")
        self.server.wait_for("/sub/", body=b"sub")
        self.assertEqual(self.server.ask("/sub/?x=1", method="POST").body, b"sub")
        self.assertEqual(self.server.ask("/sub").header("location"), "/sub/")
        self.assertEqual(self.server.ask("/sub/index").body, b"sub")
        self.assertEqual(self.server.ask("/index.html").body, b"never seen")

    def test_a_redirect_stays_on_the_site(self):
        os.makedirs(self.server.path("evil.example"), exist_ok=True)
        for path in ("//evil.example", "///evil.example", "/%2fevil.example", "/\\evil.example", "//evil.example/..",
                     "/files?//evil.example", "/evil.example", "/files%0d%0aLocation:%20x"):
            location = self.server.ask(path).header("location")
            self.assertIn(location, (None, "/files/?//evil.example", "/evil.example/"), path)

    def test_without_leave_nothing_is_listed(self):
        self.assert_status(self.server.ask("/files/"), 404)
        self.assertEqual(self.server.ask("/files").header("location"), "/files/")

    def test_a_compressed_file_beside_the_plain_one(self):
        for accept, body, encoding in (("gzip", b"gzip bytes", "gzip"), ("gzip, br", b"br bytes", "br"),
                                       ("gzip, zstd", b"zstd bytes", "zstd"), ("*", b"br bytes", "br"),
                                       ("gzip;q=0, br;q=0", b"plain css", None), ("identity", b"plain css", None),
                                       ("GZIP", b"gzip bytes", "gzip"), ("*;q=0", b"plain css", None),
                                       ("br;q=0.0, *", b"zstd bytes", "zstd"), ("deflate", b"plain css", None)):
            response = self.server.ask("/style.css", headers=[("Accept-Encoding", accept)])
            self.assertEqual((response.status, response.body), (200, body), accept)
            self.assertEqual(response.header("content-encoding"), encoding)
            self.assertIn("text/css", response.header("content-type"))
            self.assertEqual(response.header("vary"), "accept-encoding")
        plain = self.server.ask("/style.css")
        self.assertEqual(plain.body, b"plain css")
        packed = self.server.ask("/style.css", headers=[("Accept-Encoding", "gzip")])
        self.assertNotEqual(plain.header("etag"), packed.header("etag"))
        again = self.server.ask("/style.css", headers=[("Accept-Encoding", "gzip"),
                                                       ("If-None-Match", packed.header("etag"))])
        self.assertEqual((again.status, again.header("vary")), (304, "accept-encoding"))

    def test_one_that_is_older_or_a_link_or_of_no_use_is_passed_over(self):
        for path, body in (("/stale.css", b"newer"), ("/linked.css", b"plain"), ("/pic.png", b"png")):
            response = self.server.ask(path, headers=[("Accept-Encoding", "gzip")])
            self.assertEqual((response.body, response.header("content-encoding")), (body, None), path)

    def test_compressed_on_the_way(self):
        accept = ("Accept-Encoding", "gzip")
        self.assertEqual(self.server.ask("/text.txt").body, TEXT)
        packed = self.server.until(
            lambda: next((r for r in [self.server.ask("/text.txt", headers=[accept])]
                          if r.header("content-encoding") == "gzip"), None), "it is compressed")
        self.assertEqual(gzip.decompress(packed.body), TEXT)
        self.assertEqual(packed.header("content-length"), str(len(packed.body)))
        etag = packed.header("etag")
        self.assertNotEqual(etag, self.server.ask("/text.txt").header("etag"))
        self.assert_status(self.server.ask("/text.txt", headers=[accept, ("If-None-Match", etag)]), 304)
        head = self.server.ask("/text.txt", method="HEAD", headers=[accept])
        self.assertEqual(head.header("content-length"), str(len(packed.body)))
        # A range is one of the plain file's.
        part = self.server.ask("/text.txt", headers=[accept, ("Range", "bytes=0-5")])
        self.assertEqual((part.status, part.body, part.header("content-encoding")), (206, TEXT[:6], None))
        # Another file of the same name is another file.
        other = TEXT.replace(b"line", b"LINE")
        self.server.put("text.txt", other)
        fresh = self.server.ask("/text.txt", headers=[accept])
        body = gzip.decompress(fresh.body) if fresh.header("content-encoding") else fresh.body
        self.assertEqual(body, other)

    def test_what_is_small_or_does_not_shrink_stays(self):
        for path in ("/small.txt", "/noise.txt"):
            for _ in range(5):
                response = self.server.ask(path, headers=[("Accept-Encoding", "gzip, zstd")])
                self.assertIsNone(response.header("content-encoding"), path)

    def test_headers(self):
        response = self.server.ask("/files/x.txt")
        self.assertEqual(response.header("x-content-type-options"), "nosniff")
        self.assertEqual(response.header("cache-control"), "no-cache")
        self.assertIsNone(response.header("strict-transport-security"))

    def test_parameters(self):
        self.server.wait_for("/users/me", body=b"me")
        self.server.wait_for("/users/42", body=b"42")
        self.server.wait_for("/users/42/posts", body=b"42")
        self.server.wait_for("/users/42/", body=b"42")
        self.server.wait_for("/docs/a", body=b"a")
        for path, body in (("/users/me.wasm", b"me"), ("/users/file.txt", b"a file"), ("/users/a.b", b"a.b"),
                           ("/users/a%20b%25%C3%BC", b"a%20b%25%C3%BC"), ("/users/[x]", b"%5Bx%5D"),
                           ("/users/42?id=7", b"42"), ("/docs/a/b/", b"a/b/"), ("/docs/page.html", b"a page"),
                           ("/docs/page.htm", b"page.htm")):
            self.assertEqual(self.server.ask(path).body, body, path)
        for path in ("/users/42/none", "/users/", "/docs/", "/users/42.wasm", "/docs/.hidden", "/docs//x"):
            self.assert_status(self.server.ask(path), 404)
        self.assertEqual(self.server.ask("/users/42", method="POST").body, b"42")
        self.assertEqual(self.server.ask("/docs/page.html", method="POST").body, b"page.html")
        # What a client says of them is not believed.
        self.assertEqual(self.server.ask("/users/42", headers=[("X-Path-Id", "7")]).body, b"42")


class Listing(e2e.Case):
    limits = {"listing_entries": 6}

    @classmethod
    def prepare(cls, server):
        server.put(".kbp_config", b'{"version":"v1","acls":{"/":{"anonymous_permissions":"read,list"}}}')
        for name in ("a&b.txt", "<script>alert(1)<", "javascript:alert(1)", ".hidden", "sub/x.txt", "100%.txt"):
            server.put("list/" + name, b"x")
        for number in range(10):
            server.put("many/%d" % number, b"x")
        server.put("page/index.html", b"<p>a page")
        os.mkfifo(server.path("list/pipe"))

    def test_a_listing(self):
        response = self.server.ask("/list/")
        self.assertEqual(response.status, 200)
        self.assertIn("text/html", response.header("content-type"))
        page = response.body.decode()
        self.assertNotIn("<script", page)
        self.assertNotIn('href="javascript', page)
        for text in ("a&#38;b.txt", "./a%26b.txt", "./100%25.txt", "./sub/", "./javascript%3Aalert"):
            self.assertIn(text, page)
        for text in ("hidden", "pipe"):
            self.assertNotIn(text, page)
        self.assertEqual(self.server.ask("/list/100%25.txt").body, b"x")
        self.assertEqual(self.server.ask("/list/", method="HEAD").header("content-length"), str(len(response.body)))

    def test_it_is_bounded(self):
        page = self.server.ask("/many/").body
        self.assertEqual(page.count(b"<li>"), 7)
        self.assertIn(b"There is more", page)

    def test_a_page_of_the_folders_own_comes_first(self):
        self.assertEqual(self.server.ask("/page/").body, b"<p>a page")
        self.assertIn(b"list/", self.server.ask("/").body)
        self.assert_status(self.server.ask("/none/"), 404)


if __name__ == "__main__":
    e2e.main()
