"""CGI programs behind the server: WASI commands from text. Those of real toolchains are in test_toolchains.py."""
import threading

import e2e
import guests

WASI = '(import "wasi_snapshot_preview1" "%s" (func $%s (param %s)%s))'
CALLS = {"fd_write": "i32 i32 i32 i32", "proc_exit": "i32", "poll_oneoff": "i32 i32 i32 i32"}


def command(body, data, calls=("fd_write",)):
    """A WASI command whose memory holds `data` at 1024; $say writes so many bytes of it to a descriptor."""
    imports = " ".join(WASI % (name, name, CALLS[name], "" if name == "proc_exit" else " (result i32)")
                       for name in calls)
    return guests.module("""(module %s (memory (export "memory") 1) (data (i32.const 1024) "%s")
      (func $say (param $fd i32) (param $length i32)
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (local.get $length))
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
      (func (export "_start") %s))""" % (imports, guests.string(data), body))


def says(data, then="", calls=("fd_write",)):
    return command("(call $say (i32.const 1) (i32.const %d)) %s" % (len(data), then), data, calls)


SLEEP = """(i32.store8 (i32.const 108) (i32.const 0)) (i32.store (i32.const 116) (i32.const 1))
  (i64.store (i32.const 124) (i64.const 300000000))
  (drop (call $poll_oneoff (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 8)))"""


class Cgi(e2e.Case):
    @classmethod
    def prepare(cls, server):
        server.put("plain.wasm", says(b"Content-Type: text/plain\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello"))
        server.put("moved.wasm", says(b"Location: /there\n\n"))
        server.put("status.wasm", says(b"Location: /there\nStatus: 404 Gone away\n\nno"))
        server.put("silent.wasm", command("", b""))
        server.put("bad.wasm", says(b"hello, I know no headers\n"))
        server.put("exit.wasm", says(b"Status: 200\n\nx", "(call $proc_exit (i32.const 7))",
                                     ("fd_write", "proc_exit")))
        server.put("zero.wasm", says(b"Status: 200\n\nx", "(call $proc_exit (i32.const 0)) (unreachable)",
                                     ("fd_write", "proc_exit")))
        server.put("sleep.wasm", command(SLEEP + "(call $say (i32.const 1) (i32.const 14))", b"Status: 200\n\nz",
                                         ("fd_write", "poll_oneoff")))

    def setUp(self):
        self.server.until(lambda: len(self.server.functions()) >= 8, "all functions are known")
        for name in self.server.functions():
            self.server.wait_for_state(name, "live")

    def test_a_response(self):
        response = self.server.ask("/plain.wasm")
        self.assert_status(response, 200)
        self.assertEqual(response.body, b"hello")
        self.assertEqual([value for name, value in response.headers if name == "set-cookie"], ["a", "b"])

    def test_locations(self):
        response = self.server.ask("/moved.wasm")
        self.assert_status(response, 302)
        self.assertEqual(response.header("location"), "/there")
        response = self.server.ask("/status.wasm")
        self.assert_status(response, 404)
        self.assertEqual(response.body, b"no")

    def test_what_is_no_response(self):
        for name in ("silent", "bad", "exit"):
            response = self.server.ask("/%s.wasm" % name)
            self.assert_status(response, 502)
            self.assertIn(b"Error id", response.body)
        self.assert_status(self.server.ask("/zero.wasm"), 200)
        self.assert_status(self.server.ask("/plain.wasm"), 200)

    def test_sleepers_sleep_side_by_side(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.server.ask("/sleep.wasm").status))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 20)


if __name__ == "__main__":
    e2e.main()
