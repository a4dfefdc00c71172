"""What real toolchains make, behind the server: examples/build, each of its programs asked with headers, bodies of 0 B
to 8 MB both ways, and Unicode. A toolchain that is not installed is said to be missing, and its programs are skipped.

    test_toolchains.py            all but Go, whose module takes long to compile
    test_toolchains.py go         Go alone
"""
import http.server
import os
import re
import subprocess
import sys
import threading

import e2e

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
# Kept from run to run: cargo, npm and the source package need not be asked again.
MADE = os.path.join(e2e.BUILD, "tests", "toolchains")
SIZES = (0, 1, 65536, 8 << 20)
GO = sys.argv[1:2] == ["go"]


def build(name):
    """True: it is there now. False: a tool is missing, which was said."""
    made = subprocess.run([os.path.join(EXAMPLES, "build"), name, MADE], stdin=subprocess.DEVNULL, check=False)
    if made.returncode not in (0, 77):
        raise RuntimeError("examples/build %s ended with %d" % (name, made.returncode))
    return made.returncode == 0


class Page(http.server.BaseHTTPRequestHandler):
    """Two pages to scrape."""

    def do_GET(self):
        body = "<html><title> Page %s </title><a href=\"/a\">ä</a><a href=\"b%s\">b</a>" % (self.path, self.path)
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Toolchains(e2e.Case):
    config = "outbound:\n  rules:\n    - allow _default 127.0.0.1:*\n"
    limits = {"wall_ms": 20000, "cpu_ms": 10000}
    wanted = ("go",) if GO else ("c", "rust-cgi", "rust", "assemblyscript", "quickjs")
    there = ()

    @classmethod
    def prepare(cls, server):
        cls.there = [name for name in cls.wanted if build(name)]
        programs = {"c": ["cgi-c.wasm"], "rust-cgi": ["cgi-rust.wasm"], "go": ["cgi-go.wasm"],
                    "rust": ["rust-hello.wasm", "scraper.wasm"], "assemblyscript": ["assembly.wasm"],
                    "quickjs": ["qjs.wasm", "app.js", "qjs.yaml"]}
        cls.programs = [program for name in cls.there for program in programs[name]]
        for program in cls.programs:
            with open(os.path.join(MADE, program), "rb") as stream:
                server.put(program, stream.read())

    def setUp(self):
        for name in self.programs:
            if name.endswith(".wasm"):
                self.server.wait_for_state("_default/" + name, "live", 300)

    def need(self, name):
        if name not in self.there:
            self.skipTest("%s: not built here" % name)

    def log_has(self, text):
        self.server.until(lambda: text in self.server.log_text(), "the log has %r" % text)

    def assert_echoes(self, path):
        for size in SIZES:
            body = bytes(range(97, 123)) * (size // 26) + b"z" * (size % 26)
            response = self.server.ask(path, method="POST", body=body)
            self.assert_status(response, 200)
            self.assertTrue(response.body == body, (path, size, len(response.body)))

    def assert_cgi(self, name, path):
        self.need(name)
        response = self.server.ask(path + "/%C3%A4%20x?y")
        self.assert_status(response, 200)
        self.assertIn("GET /\u00e4 x", response.body.decode())
        self.assertEqual(len([1 for key, _ in response.headers if key == "set-cookie"]), 2)
        self.log_has("asked for")
        self.assert_echoes(path)
        for size in SIZES:
            self.assertEqual(len(self.server.ask(path + "?bytes=%d" % size).body), size)

    def test_c(self):
        self.assert_cgi("c", "/cgi-c.wasm")

    def test_rust_cgi(self):
        self.assert_cgi("rust-cgi", "/cgi-rust.wasm")

    def test_go(self):
        self.assert_cgi("go", "/cgi-go.wasm")

    def test_rust(self):
        """Imports and exports have the shape of the functions of 2019: init_mm, default_malloc_impl, 17 pages."""
        self.need("rust")
        shape = subprocess.run([e2e.PROGRAM, "inspect", os.path.join(MADE, "rust-hello.wasm")], check=True,
                               stdout=subprocess.PIPE, encoding="utf-8").stdout
        for line in ("world: terrarium", "memory: 17 pages", '"env"."hostcall_init_mm" func (i32, i32)',
                     '"default_malloc_impl" func', '"default_free_impl" func', '"__heap_base" global'):
            self.assertIn(line, shape)
        response = self.server.ask("/rust-hello.wasm/p%C3%A4?q=%C3%B6", headers=[("X-Empty", ""), ("X-Two", "1"),
                                                                               ("X-Two", "2")])
        self.assert_status(response, 200)
        self.assertEqual(response.body.decode(), "Gr\u00fc\u00dfe aus Rust: GET /rust-hello.wasm/p%C3%A4?q=%C3%B6\n")
        self.assertEqual([value for key, value in response.headers if key == "set-cookie"],
                         ["language=rust", "seen=1"])
        self.assert_echoes("/rust-hello.wasm/echo")
        for number in (1, 2, 3):
            self.assertEqual(self.server.ask("/rust-hello.wasm/count").body, b"visitor %d\n" % number)
        self.assert_status(self.server.ask("/rust-hello.wasm/panic"), 502)
        self.log_has("asked to, by GET")
        self.assert_status(self.server.ask("/rust-hello.wasm"), 200)

    def test_rust_scraper(self):
        self.need("rust")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as upstream:
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
            there = "url=http://127.0.0.1:%d" % upstream.server_port
            response = self.server.ask("/scraper.wasm/?%s/one&%s%%2Fmissing" % (there, there))
            upstream.shutdown()
        self.assert_status(response, 200)
        self.assertEqual(sorted(re.split(r"(?=Page)", response.body.decode())),
                         ["", "Page /missing\n- /a\n- b/missing\n", "Page /one\n- /a\n- b/one\n"])
        self.assert_status(self.server.ask("/scraper.wasm"), 400)
        self.assert_status(self.server.ask("/scraper.wasm?url=http://169.254.169.254/"), 502)
        self.assert_status(self.server.ask("/scraper.wasm?url=nonsense%20%3A"), 400)

    def test_assemblyscript(self):
        self.need("assemblyscript")
        agent = "a\u00e9"
        response = self.server.ask("/assembly.wasm/x?%C3%A4",
                                   headers=[("User-Agent", agent.encode().decode("latin-1"))])
        self.assert_status(response, 200)
        self.assertEqual(response.body.decode(),
                         "Gr\u00fc\u00dfe aus AssemblyScript: /assembly.wasm/x?%%C3%%A4, %s\n" % agent)
        for size in SIZES:
            response = self.server.ask("/assembly.wasm", method="POST", body=b"y" * size)
            self.assert_status(response, 200)
            self.assertTrue(response.body == b"Y" * size, (size, len(response.body)))
        self.assertEqual(self.server.ask("/assembly.wasm", method="POST", body="\u00e4\u00df".encode()).body.decode(),
                         "\u00c4SS")
        self.assert_status(self.server.ask("/assembly.wasm/abort"), 502)
        self.log_has("asked to (hello.ts:7")

    def test_quickjs(self):
        """A script of the site's folder, changed while it is served."""
        self.need("quickjs")
        response = self.server.ask("/qjs.wasm/p%C3%A4?q=1")
        self.assert_status(response, 200)
        self.assertEqual(response.body.decode(), "Gr\u00fc\u00dfe aus JavaScript: GET /p\u00e4\n")
        self.assertEqual(response.header("x-query"), "q=1")
        self.log_has("asked for /p\u00e4")
        for size in SIZES:
            self.assertEqual(len(self.server.ask("/qjs.wasm/bytes?%d" % size).body), size)
        for size in SIZES[:3]:
            response = self.server.ask("/qjs.wasm", method="POST", body=b"ab" * (size // 2))
            self.assert_status(response, 200)
            self.assertTrue(response.body == b"ba" * (size // 2), (size, len(response.body)))
        response = self.server.ask("/qjs.wasm", method="POST", body="a\u00e4\u20ac".encode())
        self.assertEqual(response.body.decode(), "\u20ac\u00e4a")
        self.assert_status(self.server.ask("/qjs.wasm/fail"), 500)
        self.log_has("Error: asked to")
        self.server.put("app.js", b"function answer(request) { return 'another script'; }")
        self.server.wait_for("/qjs.wasm", body=b"another script")


if __name__ == "__main__":
    del sys.argv[1:]
    e2e.main()
