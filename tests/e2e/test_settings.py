"""Settings beside a function: environment, secrets, methods, CORS, limits; and that they go live like code does."""
import json
import os
import threading
import time

import e2e
import guests
from test_cgi import SLEEP, WASI, command

SECRETS = """
_default:
  PAYMENT: 'sk 1/2="%'
b.example:
  PAYMENT: another's
"""


def environment():
    """Answers all its variables, a NUL behind each."""
    imports = " ".join(WASI % (name, name, params, " (result i32)") for name, params in (
        ("fd_write", "i32 i32 i32 i32"), ("environ_sizes_get", "i32 i32"), ("environ_get", "i32 i32")))
    return guests.module("""(module %s (memory (export "memory") 4) (data (i32.const 1024) "Status: 200\\n\\n")
      (func (export "_start")
        (drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
        (drop (call $environ_get (i32.const 65536) (i32.const 131072)))
        (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 13))
        (i32.store (i32.const 24) (i32.const 131072)) (i32.store (i32.const 28) (i32.load (i32.const 4)))
        (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 2) (i32.const 8)))))""" % imports)


GROW = guests.wat(["body"], """(i32.store (i32.const 0) (i32.add (i32.const 48) (i32.lt_s (memory.grow (i32.const 9))
  (i32.const 0)))) (drop (call $body (i32.const 0) (i32.const 0) (i32.const 1)))""")
SPIN = guests.wat(["body"], "(loop $l (br $l))")

class Settings(e2e.Case):
    limits = {"wall_ms": 20000}

    @classmethod
    def setUpClass(cls):
        cls.secrets = "/tmp/tf-e2e-secrets-%d.yaml" % os.getpid()
        with open(cls.secrets, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            stream.write(SECRETS)
        cls.config = "functions:\n  secrets: %s\n" % cls.secrets
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        os.unlink(cls.secrets)

    def put(self, name, module, settings, site="_default"):
        """A function that is live with its settings."""
        self.server.put(name + ".yaml", settings.encode(), site)
        self.server.put(name + ".wasm", module, site)
        self.server.wait_for_state("%s/%s.wasm" % (site, name), "live")
        host = "localhost" if site == "_default" else site
        self.server.until(lambda: self.server.ask("/" + name, host=host).status not in (404, 503), "it is served")

    def variables(self, path, site="localhost", **more):
        response = self.server.ask(path, host=site, **more)
        self.assert_status(response, 200)
        return dict(pair.split("=", 1) for pair in response.body.decode().split("\0") if pair)

    def test_environment_and_secrets(self):
        text = ("environment:\n  GREETING: \"gr\u00fcezi = %\"\n  REQUEST_METHOD: mine\n"
                "secrets: {KEY: PAYMENT, NO: NONE}\n")
        self.put("env", environment(), text)
        found = self.variables("/env.wasm")
        self.assertEqual(found["GREETING"], "gr\u00fcezi = %")
        self.assertEqual(found["KEY"], 'sk 1/2="%')
        self.assertEqual(found["REQUEST_METHOD"], "GET")  # the request's own is not to be replaced
        self.assertNotIn("NO", found)
        # Another site asks for the same name, and gets its own; one that has none gets none.
        self.put("env", environment(), text, "b.example")
        self.put("env", environment(), text, "c.example")
        self.server.wait_for("/env", host="b.example")
        self.server.wait_for("/env", host="c.example")
        self.assertEqual(self.variables("/env", "b.example")["KEY"], "another's")
        self.assertNotIn("KEY", self.variables("/env", "c.example"))
        # Neither in what the builder writes nor in what is served is there a value.
        for folder, _, names in os.walk(self.server.cache):
            for name in names:
                with open(os.path.join(folder, name), "rb") as stream:
                    self.assertNotIn(b"sk 1/2", stream.read())
        self.assertNotIn("sk 1/2", self.server.log_text())

    def test_the_file_is_nobodys_to_read(self):
        self.put("hidden", environment(), "environment: {A: b}\n")
        self.server.put("free.yaml", b"of no function")
        self.assert_status(self.server.ask("/free.yaml"), 200)
        for path in ("/hidden.yaml", "/hidden%2eyaml", "/hidden.YAML", "/hidden.yam%6c", "/x/../hidden.yaml",
                     "//hidden.yaml"):
            self.assertIn(self.server.ask(path).status, (400, 404), path)

    def test_methods(self):
        self.put("methods", environment(), "methods: [GET, PUT]\n")
        for method, status in (("GET", 200), ("HEAD", 200), ("PUT", 200), ("POST", 405), ("DELETE", 405),
                               ("OPTIONS", 405)):
            response = self.server.ask("/methods", method=method)
            self.assert_status(response, status)
            if status == 405:
                self.assertEqual(response.header("allow"), "GET, PUT")

    def test_cors(self):
        self.put("cors", environment(), "cors:\n  origins: ['https://a.example']\n  headers: [x-token]\n"
                                        "  expose: [x-total]\n  max_age_s: 60\n  credentials: yes\n")
        asks = (("Access-Control-Request-Method", "PUT"),)
        response = self.server.ask("/cors", method="OPTIONS", headers=(("Origin", "https://a.example"),) + asks)
        self.assert_status(response, 204)
        self.assertEqual(response.header("access-control-allow-origin"), "https://a.example")
        self.assertEqual(response.header("access-control-allow-headers"), "x-token")
        self.assertEqual(response.header("access-control-max-age"), "60")
        self.assertEqual(response.header("access-control-allow-credentials"), "true")
        self.assertEqual(response.header("vary"), "Origin")
        for origin in ("https://b.example", "null", "https://a.example.evil", "HTTPS://A.EXAMPLE"):
            response = self.server.ask("/cors", method="OPTIONS", headers=(("Origin", origin),) + asks)
            self.assert_status(response, 204)
            self.assertIsNone(response.header("access-control-allow-origin"), origin)
            response = self.server.ask("/cors", headers=(("Origin", origin),))
            self.assert_status(response, 200)
            self.assertIsNone(response.header("access-control-allow-origin"), origin)
            self.assertEqual(response.header("vary"), "Origin")
        response = self.server.ask("/cors", headers=(("Origin", "https://a.example"),))
        self.assertEqual(response.header("access-control-allow-origin"), "https://a.example")
        self.assertEqual(response.header("access-control-expose-headers"), "x-total")
        # An OPTIONS that asks nothing of the kind is the function's.
        self.assert_status(self.server.ask("/cors", method="OPTIONS"), 200)

    def test_limits(self):
        self.put("body", environment(), "limits: {request_body_bytes: 10, response_body_bytes: 65536}\n")
        self.assert_status(self.server.ask("/body", method="POST", body=b"x" * 10), 200)
        self.assert_status(self.server.ask("/body", method="POST", body=b"x" * 11), 413)
        self.put("grow", guests.module(GROW), "limits: {memory_pages: 9}\n")
        self.assertEqual(self.server.ask("/grow").body, b"1")
        self.put("grown", guests.module(GROW), "limits: {memory_pages: 10}\n")
        self.assertEqual(self.server.ask("/grown").body, b"0")
        self.put("spin", guests.module(SPIN), "limits: {cpu_ms: 20}\n")
        began = time.monotonic()
        self.assert_status(self.server.ask("/spin"), 504)
        self.assertLess(time.monotonic() - began, 15)
        self.put("deep", guests.module(guests.DEEP["call"]), "files: no\n")
        self.put("shallow", guests.module(guests.DEEP["call"]), "limits: {guest_stack_bytes: 128K}\n")
        depth = 100
        while self.server.ask("/shallow?%d" % depth).status == 200:
            depth *= 2
        self.assert_status(self.server.ask("/shallow?%d" % depth), 502)
        self.assert_status(self.server.ask("/deep?%d" % depth), 200)
        self.assert_status(self.server.ask("/deep?%d" % (depth * 100)), 502)
        self.put("asleep", command(SLEEP, b"", ("fd_write", "poll_oneoff")), "limits: {wall_ms: 50}\n")
        self.assert_status(self.server.ask("/asleep"), 504)

    def test_more_than_the_module_starts_with(self):
        self.server.put("small.yaml", b"limits: {memory_pages: 1}\n")
        self.server.put("small.wasm", environment())
        self.server.wait_for_state("_default/small.wasm", "refused")
        self.assertIn("memory_pages", self.server.functions()["_default/small.wasm"]["error"]["text"])

    def test_concurrency(self):
        program = command(SLEEP + "(call $say (i32.const 1) (i32.const 14))", b"Status: 200\n\nz",
                          ("fd_write", "poll_oneoff"))
        self.put("one", program, "limits: {function_concurrency: 1}\n")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.server.ask("/one").status)) for _ in range(4)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 4)
        self.assertGreater(time.monotonic() - began, 4 * 0.3)  # the guest itself sleeps as long

    def test_changes_go_live(self):
        self.put("change", environment(), "environment: {V: '1'}\n")
        self.assertEqual(self.variables("/change")["V"], "1")
        self.server.overwrite("change.yaml", b"environment: {V: '2'}\n")
        self.server.until(lambda: self.variables("/change").get("V") == "2", "the change is live")
        self.server.overwrite("change.yaml", b"environment: {V: '3'}\nspeed: 9\n")
        self.server.until(lambda: "change.yaml: line 2, column 1" in json.dumps(
            self.server.functions()["_default/change.wasm"]["error"]), "the error is told")
        self.assertEqual(self.variables("/change")["V"], "2")
        os.unlink(self.server.path("change.yaml"))
        self.server.until(lambda: "V" not in self.variables("/change"), "it is gone")

    def test_in_flight_keep_theirs(self):
        program = command(SLEEP + "(call $say (i32.const 1) (i32.const 14))", b"Status: 200\n\nz",
                          ("fd_write", "poll_oneoff"))
        self.put("flight", program, "cors: {origins: '*'}\n")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.server.ask("/flight", headers=(("Origin", "x"),))))
        thread.start()
        time.sleep(0.1)
        self.server.overwrite("flight.yaml", b"methods: [PUT]\n")
        self.server.until(lambda: self.server.ask("/flight").status == 405, "the change is live")
        thread.join()
        self.assertIn(answers[0].status, (200, 405))
        if answers[0].status == 200:
            self.assertEqual(answers[0].header("access-control-allow-origin"), "*")


if __name__ == "__main__":
    e2e.main()
