"""Guests written for the end-to-end tests, as WebAssembly text; module() turns one into bytes."""
import functools
import os
import subprocess

PREFIX = os.environ.get("TF_WABT_PREFIX", "/opt/terrafirma/wabt-1.0.36")


@functools.lru_cache(maxsize=None)
def module(text):
    """The bytes of a module in text form."""
    result = subprocess.run([PREFIX + "/bin/wat2wasm", "-", "--output=-"], input=text.encode(), capture_output=True,
                            check=False)
    if result.returncode != 0:
        raise RuntimeError("wat2wasm: %s\n%s" % (result.stderr.decode(), text))
    return result.stdout


def string(data):
    """Bytes as the inside of a WAT string."""
    if isinstance(data, str):
        data = data.encode()
    return "".join("\\%02x" % byte for byte in data)


CALLS = {
    "body": '(import "env" "hostcall_resp_set_body" (func $body (param i32 i32 i32) (result i32)))',
    "code": '(import "env" "hostcall_resp_set_response_code" (func $code (param i32 i32) (result i32)))',
    "header": '(import "env" "hostcall_resp_set_header" (func $header (param i32 i32 i32 i32 i32) (result i32)))',
    "path": '(import "env" "hostcall_req_get_path" (func $path (param i32 i32 i32)))',
    "reqbody": '(import "env" "hostcall_req_get_body" (func $reqbody (param i32 i32 i32)))',
    "init": '(import "env" "hostcall_init_mm" (func $init (param i32 i32)))',
    "time": '(import "env" "hostcall_time_now" (func $time (param i32) (result i64)))',
    "debug": '(import "env" "hostcall_debug" (func $debug (param i32 i32)))',
    "panic": '(import "env" "hostcall_panic_hook" (func $panic (param i32 i32)))',
}


def wat(calls, body, extra="", pages=1):
    """A module that imports `calls` and whose run() is `body`."""
    imports = "\n  ".join(CALLS[name] for name in calls)
    return '(module\n  %s\n  (memory %d)\n  %s\n  (func (export "run") %s))' % (imports, pages, extra, body)


def answer(text, status=None, salt=""):
    """Answers a fixed text. `salt` makes modules that answer alike differ in their bytes."""
    code = "(drop (call $code (i32.const 0) (i32.const %d)))" % status if status else ""
    data = string(text)
    length = len(text.encode() if isinstance(text, str) else text)
    return module(wat(["body"] + (["code"] if status else []),
                      "%s (drop (call $body (i32.const 0) (i32.const 1024) (i32.const %d)))" % (code, length),
                      '(data (i32.const 1024) "%s") (data (i32.const 8) "%s")' % (data, string(salt))))


def says(header):
    """Answers the value of a request's header."""
    return module("""(module
      (import "env" "hostcall_init_mm" (func $init (param i32 i32)))
      (import "env" "hostcall_req_get_header" (func $get (param i32 i32 i32 i32 i32)))
      (import "env" "hostcall_resp_set_body" (func $body (param i32 i32 i32) (result i32)))
      (memory 1)
      (global $next (mut i32) (i32.const 4096))
      (table 3 funcref) (elem (i32.const 1) $malloc $free)
      (func $malloc (param i32) (result i32) (local $at i32)
        (local.set $at (global.get $next))
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 0)) (i32.const 15)) (i32.const -16)))
        (local.get $at))
      (func $free (param i32))
      (data (i32.const 1024) "%s")
      (func (export "run")
        (call $init (i32.const 1) (i32.const 2))
        (call $get (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 1024) (i32.const %d))
        (if (i32.load (i32.const 4)) (then
          (drop (call $body (i32.const 0) (i32.load (i32.load (i32.const 0)))
            (i32.load offset=4 (i32.load (i32.const 0)))))))))""" % (string(header), len(header)))


def deep(bottom):
    """Calls itself as often as the query says, one small frame each, and then runs `bottom`, which leaves an i32."""
    return wat(["path", "debug"], """(local $at i32) (local $n i32) (local $c i32)
      (call $path (i32.const 0) (i32.const 4) (i32.const 0))
      (local.set $at (i32.load (i32.const 0)))
      (block $end (loop $next
        (br_if $end (i32.eqz (local.tee $c (i32.load8_u (local.get $at)))))
        (if (i32.eq (local.get $c) (i32.const 63)) (then (local.set $n (i32.const 0)))
          (else (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
                                       (i32.sub (local.get $c) (i32.const 48))))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
      (drop (call $down (local.get $n)))""", """(func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func $down (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then %s)
          (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))""" % bottom)


DEEP = {
    "none": deep("(i32.const 0)"),
    "call": deep("(call $debug (i32.const 0) (i32.const 0)) (i32.const 0)"),
    "allocate": deep("(call $path (i32.const 0) (i32.const 4) (i32.const 0)) (i32.const 0)"),
    "grow": deep("(memory.grow (i32.const 1))"),
}

# One host function under two indices, called directly and through a table.
TWICE = """(module
  (import "env" "hostcall_debug" (func $one (param i32 i32)))
  (import "env" "hostcall_debug" (func $two (param i32 i32)))
  (memory 1) (table 2 funcref) (elem (i32.const 0) $one $two)
  (func (export "run") (call $two (i32.const 0) (i32.const 1))
    (call_indirect (param i32 i32) (i32.const 0) (i32.const 1) (i32.const 1))))"""
TRAP = wat([], "unreachable")
PANIC = wat(["panic"], "(call $panic (i32.const 64) (i32.const 6)) unreachable", '(data (i32.const 64) "secret")')
# The value is used: a load whose value nobody wants may be left out.
BEYOND = wat(["code"], "(drop (call $code (i32.const 0) (i32.load (i32.const 0xfffffff0))))")
STORE_BEYOND = wat([], "(i32.store offset=0xfffffff0 (i32.const 0xfffffff0) (i32.const 1))")
DIVIDE = wat(["body"], "(drop (i32.div_s (i32.const 1) (i32.load (i32.const 0))))")
LOOP = wat([], "(loop $l (br $l))")
# Loops inside one host call's worth of work: the preemption must not depend on branches of the guest.
FILL_LOOP = wat([], "(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)) (br $l))")
RECURSE = wat(["code"], "(drop (call $code (i32.const 0) (call $down (i32.const 1))))",
              "(func $down (param i32) (result i32)"
              " (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (local.get 0)))")
STATUS_OUT_OF_RANGE = wat(["code", "body"], """
    (if (i32.eqz (call $code (i32.const 0) (i32.const 99))) (then unreachable))
    (if (i32.eqz (call $code (i32.const 0) (i32.const 1000))) (then unreachable))
    (if (i32.eqz (call $code (i32.const 7) (i32.const 200))) (then unreachable))""")

# Grows a page at a time and touches each, until the answer is -1; then answers with the pages it has, as four bytes.
GROW = wat(["body"], """(local i32)
    (loop $l
      (local.set 0 (memory.grow (i32.const 1)))
      (if (i32.ne (local.get 0) (i32.const -1)) (then
        (i32.store (i32.mul (local.get 0) (i32.const 65536)) (i32.const 1))
        (br $l))))
    (i32.store (i32.const 0) (memory.size))
    (drop (call $body (i32.const 0) (i32.const 0) (i32.const 4)))""")

# Answers with what it finds where it then writes: every request must find zeroes and 41.
STATE = wat(["body"], """
    (i32.store8 (i32.const 100) (i32.add (i32.const 65) (i32.load (i32.const 5000))))
    (i32.store8 (i32.const 101) (global.get $g))
    (i32.store8 (i32.const 102) (i32.add (i32.const 48) (memory.size)))
    (i32.store (i32.const 5000) (i32.const 9))
    (global.set $g (i32.const 66))
    (drop (memory.grow (i32.const 1)))
    (drop (call $body (i32.const 0) (i32.const 100) (i32.const 3)))""", "(global $g (mut i32) (i32.const 41))")

# The guests that hand wild pointers to the host.
WILD = {
    "body-beyond": wat(["body"], "(drop (call $body (i32.const 0) (i32.const 0xfffff000) (i32.const 0x1000)))"),
    "body-wraps": wat(["body"], "(drop (call $body (i32.const 0) (i32.const 0x8000) (i32.const 0xffffffff)))"),
    "body-one-over": wat(["body"], "(drop (call $body (i32.const 0) (i32.const 65535) (i32.const 2)))"),
    "header-array": wat(["header"], "(drop (call $header (i32.const 0) (i32.const 0) (i32.const 1)"
                                    " (i32.const 65532) (i32.const 4)))"),
    "header-count": wat(["header"], "(drop (call $header (i32.const 0) (i32.const 0) (i32.const 1)"
                                    " (i32.const 0) (i32.const 0x20000001)))"),
    "debug-runs-off": wat(["debug"], "(memory.fill (i32.const 0) (i32.const 65) (i32.const 65536))"
                                     "(call $debug (i32.const 0) (i32.const -1))"),
    "panic-beyond": wat(["panic"], "(call $panic (i32.const 65000) (i32.const 65000))"),
    "time-beyond": wat(["time"], "(drop (call $time (i32.const 65534)))"),
    "path-out-beyond": wat(["path"], "(call $path (i32.const 65534) (i32.const 0) (i32.const 0))"),
    "no-allocator": wat(["path"], "(call $path (i32.const 0) (i32.const 4) (i32.const 0))"),
    "wild-allocator": wat(["init", "path"], "(call $init (i32.const 77) (i32.const 78))"
                                            "(call $path (i32.const 0) (i32.const 4) (i32.const 0))"),
}
# What pads a response without end.
HEADER_FLOOD = wat(["header"], """(local i32)
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 4000))
    (memory.fill (i32.const 16) (i32.const 97) (i32.const 8000))
    (loop $l
      (i32.store (i32.const 8) (i32.add (i32.const 0x61616161) (local.get 0)))
      (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (drop (call $header (i32.const 0) (i32.const 8) (i32.const 4) (i32.const 0) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get 0) (i32.const 20))))""")

_ALLOCATOR = """
  (table 2 funcref) (elem (i32.const 0) $malloc $free)
  (global $next (mut i32) (i32.const 4096))
  (func $malloc (param i32) (result i32)
    (global.get $next)
    (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 0)) (i32.const 7)) (i32.const -8)))
    (block $done (loop $l
      (br_if $done (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
  (func $free (param i32))"""
ECHO_PATH = wat(["body", "init", "path"], """
    (call $init (i32.const 0) (i32.const 1))
    (call $path (i32.const 0) (i32.const 4) (i32.const 0))
    (drop (call $body (i32.const 0) (i32.load (i32.const 0)) (i32.load (i32.const 4))))""", _ALLOCATOR)
ECHO_BODY = wat(["body", "init", "reqbody"], """
    (call $init (i32.const 0) (i32.const 1))
    (call $reqbody (i32.const 0) (i32.const 4) (i32.const 0))
    (drop (call $body (i32.const 0) (i32.load (i32.const 0)) (i32.load (i32.const 4))))""", _ALLOCATOR)


def big(size):
    """Answers `size` bytes, all 'x'."""
    return module(wat(["body"], "(memory.fill (i32.const 0) (i32.const 120) (i32.const %d))"
                                "(drop (call $body (i32.const 0) (i32.const 0) (i32.const %d)))" % (size, size),
                      pages=size // 65536 + 1))


def busy(milliseconds, text="done"):
    """Computes for that long by the clock, then answers."""
    # The nanoseconds go to address 8: address 0 would mean that nobody wants them.
    now = ("(i64.add (i64.mul (call $time (i32.const 8)) (i64.const 1000))"
           " (i64.extend_i32_u (i32.div_u (i32.load (i32.const 8)) (i32.const 1000000))))")
    return module(wat(["body", "time"], """(local i64)
        (local.set 0 (i64.add %s (i64.const %d)))
        (loop $l (br_if $l (i64.lt_u %s (local.get 0))))
        (drop (call $body (i32.const 0) (i32.const 1024) (i32.const %d)))""" % (now, milliseconds, now, len(text)),
                      '(data (i32.const 1024) "%s")' % string(text)))


def environment():
    """A CGI program that answers with its environment, as it lies in memory."""
    head = b"Content-Type: text/plain\n\n"
    return module("""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
      (memory (export "memory") 2) (data (i32.const 1024) "%s")
      (func (export "_start")
        (drop (call $sizes (i32.const 32) (i32.const 12)))
        (drop (call $get (i32.const 2048) (i32.const 16384)))
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const %d))
        (i32.store (i32.const 8) (i32.const 16384))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 40)))))""" % (string(head), len(head)))


def import_of(module_name, name, signature):
    """A module that imports one function of any name and type."""
    return module('(module (import "%s" "%s" (func %s)) (memory 1) (func (export "run")))'
                  % (module_name, name, signature))


def slow_to_build(functions=60, salt=0):
    """A module that keeps the C compiler busy for some seconds: long functions, all in a table. Answers 200."""
    bodies = []
    for index in range(functions):
        steps = "".join("(local.set 0 (i32.add (i32.rotl (i32.xor (local.get 0) (i32.const %d)) (i32.and (local.get 1)"
                        " (i32.const 31))) (i32.load (i32.and (local.get 0) (i32.const 65532)))))"
                        "(if (i32.gt_u (local.get 0) (local.get 1)) (then (local.set 1 (i32.const %d))))"
                        % (step * 7919 + index + salt, step * 104729 + index) for step in range(60))
        bodies.append("(func $f%d (param i32 i32) (result i32) %s (local.get 0))" % (index, steps))
    names = " ".join("$f%d" % index for index in range(functions))
    return module('(module (memory 1) %s (table %d funcref) (elem (i32.const 0) %s) (func (export "run")))'
                  % ("".join(bodies), functions, names))
