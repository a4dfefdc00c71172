"""What must come of each guest in tests/guests and of the examples, by `terrafirma run`.

A row says what goes in (guest, path, method, headers, body) and what comes out: a response, a trap by its name, or
"time" for a guest that ends only by a limit.
"""

GET = "GET"
POST = "POST"


class Vector:
    def __init__(self, guest, query="", method=GET, headers=(), body=b"", path=None, status=200, fields=None,
                 answer=None, contains=None, trap=None, time=False, log=None, limits=None):
        self.guest = guest
        self.path = path if path is not None else "/%s.wasm%s" % (guest.split("/")[-1], query)
        self.method, self.headers, self.body = method, headers, body
        self.status = status      # of a response
        self.fields = fields      # all header lines, as (lower-case name, value), in any order; None: not looked at
        self.answer = answer      # the whole body; None: not looked at
        self.contains = contains  # a part of the body
        self.trap = trap          # instead of a response: what the program calls it
        self.time = time          # instead of a response: the CPU limit ends it
        self.log = log            # something the guest's log must hold
        self.limits = limits or ({"cpu_ms": 300} if time else {})

    def __str__(self):
        return "%s %s" % (self.method, self.path)


OUT_OF_BOUNDS = "out of bounds"
DIVIDE = "integer divide by zero"
OVERFLOW = "integer overflow"
CONVERSION = "invalid conversion to integer"
INDIRECT = "null or mismatched indirect call"
STACK = "call stack exhausted"
HOST_CALL = "bad host call"
ALLOCATOR = "no allocator, or it failed"
OUTPUT = "output limit"
UNREACHABLE = "unreachable"

VECTORS = [
    # 1: without an allocator and without an exported memory
    Vector("vector01", fields=[("x-five", "one"), ("x-five", "two"), ("x-five", "three"), ("x-five", "four"),
                               ("x-five", "")], answer=b""),
    # 2, 3: the allocator in the table; a header with an empty value; several lines of a name, whatever its case
    Vector("vector02", headers=[("x-a", "1")], contains=b"x-a=1\n"),
    Vector("vector02", headers=[("x-empty", "")], contains=b"x-empty=\n"),
    Vector("vector02", headers=[("X-Many", "1"), ("x-other", "2"), ("x-many", "3")],
           contains=b"x-many=1\nx-many=3\n"),
    Vector("vector02", headers=[("fastly-client-ip", "6.6.6.6"), ("x-last", "end")], contains=b"x-last=end\n"),
    # 4, 5: in any order, and replaced
    Vector("vector04", fields=[("x-later", "yes")], answer=b"body first"),
    Vector("vector05", fields=[("x-twice", "second"), ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2, c=3")],
           answer=b""),
    # 6, 8: time, log, randomness, and the outside world that is not there
    Vector("vector06", answer=b"in order", log="a message from the guest"),
    Vector("vector08", answer=b"no address"),
    # the outside world, where there is none: what the calls of outbound HTTP and DNS answer then
    Vector("outbound", method=POST, body=b"get http://example.com/\npoll http://example.com/\nip example.com\n"
           b"wait 2 http://example.com/", answer=b"failed\npolled -1\nfailed\n0 of 2\n",
           log="GET http://example.com/: not sent"),
    # what is kept between requests, where nothing is: the ABI has no word for a call that cannot be done
    Vector("kv", answer=b""),
    Vector("kv", method=POST, body=b"get a", answer=b"0\n"),
    Vector("kv", method=POST, body=b"insert a 1\ninsert a 2\nupsert a 3\nappend a 4\nget a\nremove a\nget a",
           answer=b"1\n0\n0\n0\n1 24\n1\n0\n"),
    # 9: the edges of what is allowed; beyond them, below
    Vector("edge", answer=b"fine\n", fields=[("content-type", "text/plain"), ("x-odd", "z")]),
    Vector("wild", "?0", answer=b"survived\n"),
    # 10: allocators
    Vector("allocator", "?0", answer=b"/allocator.wasm?0"),
    Vector("allocator", "?1", trap=ALLOCATOR),
    Vector("allocator", "?2", trap=UNREACHABLE),
    Vector("allocator", "?3", time=True),
    Vector("allocator", "?4", answer=b"/allocator.wasm?4", fields=[("x-nested", "yes")]),
    Vector("allocator", "?5", trap=STACK),
    Vector("allocator", "?6", answer=b"/allocator.wasm?6"),
    Vector("allocator", "?7", answer=b"/allocator.wasm?7"),
    Vector("allocator", "?8", trap=HOST_CALL),
    Vector("allocator", "?9", trap=HOST_CALL),
    Vector("allocator", "?20", trap=OUT_OF_BOUNDS),
    Vector("allocator", "?21", trap=INDIRECT),
    Vector("allocator", "?22", trap=INDIRECT),
    Vector("allocator", "?23", trap=OUT_OF_BOUNDS),
    Vector("malloc_export", answer=b"GET"),
    Vector("malloc_plain_export", method="PURGE", answer=b"PURGE"),
    Vector("malloc_none", trap=ALLOCATOR),
    Vector("malloc_no_table", trap=ALLOCATOR),
    # 11: paths arrive as they are
    Vector("vector11", path="/", answer=b"/"),
    Vector("vector11", path="/a.wasm/%7B%22%20%C3%A9?q=%20&r={}", answer=b"/a.wasm/%7B%22%20%C3%A9?q=%20&r={}"),
    Vector("vector11", path="/" + "p" * 65533, answer=b"/" + b"p" * 65533),
    # 12: a panic's message is logged; what was answered before a trap does not count
    Vector("vector12", trap=UNREACHABLE, log="panicked at 'no luck', src/lib.rs:7"),
    # limits and state
    Vector("empty", fields=[], answer=b""),
    Vector("no_memory", trap=HOST_CALL),
    Vector("start_counts", answer=b"11"),
    Vector("state", answer=b"fresh"),
    # copies that loops are given of tables
    Vector("table_stores", answer=b"apart"),
    Vector("grow", limits={"memory_pages": 2048}, answer=b"2048"),
    Vector("bomb", answer=b"all of it"),
    Vector("big_response", "?16777216", answer=b"x" * 16777216),
    Vector("big_response", "?16777217", trap=OUTPUT),
    Vector("headers_flood", "?100", fields=[("x-flood-%d" % i, "0123456789") for i in range(100)], answer=b"done\n"),
    Vector("headers_flood", "?101", trap=OUTPUT),
    Vector("set_forever", fields=[("x-a", "1"), ("x-b", "2"), ("content-type", "text/plain")], answer=b"settled\n"),
    Vector("spin", time=True),
    Vector("spin_memory", time=True),
    Vector("spin_host", time=True),
    Vector("memory_copy_forever", time=True),
    Vector("recurse", trap=STACK),
    Vector("recurse_host", trap=STACK),
    # traps
    Vector("trap_unreachable", trap=UNREACHABLE),
    Vector("trap_load", trap=OUT_OF_BOUNDS),
    Vector("trap_load_offset", trap=OUT_OF_BOUNDS),
    Vector("trap_store", trap=OUT_OF_BOUNDS),
    Vector("trap_store_offset", trap=OUT_OF_BOUNDS),
    Vector("trap_copy", trap=OUT_OF_BOUNDS),
    Vector("trap_fill", trap=OUT_OF_BOUNDS),
    Vector("trap_init", trap=OUT_OF_BOUNDS),
    Vector("trap_table_get", trap=OUT_OF_BOUNDS),
    Vector("trap_divide", trap=DIVIDE),
    Vector("trap_remainder", trap=DIVIDE),
    Vector("trap_overflow", trap=OVERFLOW),
    Vector("trap_conversion", trap=CONVERSION),
    Vector("trap_conversion_range", trap=OVERFLOW),
    Vector("trap_indirect_null", trap=INDIRECT),
    Vector("trap_indirect_type", trap=INDIRECT),
    Vector("trap_indirect_range", trap=OUT_OF_BOUNDS),
    Vector("run_off", "?0", answer=b"survived\n"),
    # no C library behind rounding; constant expressions with arithmetic
    Vector("cold_rounding", answer=b"rounded"),
    Vector("extended_const", answer=b"extended"),
    # every operation on vectors; accesses one byte past the end
    Vector("simd", answer=b"fine\n"),
    *[Vector("simd", "?%d" % number, trap=OUT_OF_BOUNDS) for number in range(1, 10)],
    # the examples
    Vector("examples/hello-wat", fields=[("content-type", "text/plain")], answer=b"Hello, world!\n"),
    Vector("examples/hello", answer=b"Hello, world!\n"),
    Vector("examples/hello", "?name=Ada%20%26+Co&x=1", answer=b"Hello, Ada & Co!\n"),
    Vector("examples/echo", "/more?a=b", method=POST, headers=[("x-say", 'a "b"'), ("x-say", "c")],
           body=b"\x01two\nlines\xff", contains=b'"x-say": ["a \\"b\\"", "c"]'),
    Vector("examples/echo", "/more?a=b", method=POST, body=b"\x01two\nlines\xff",
           contains=b'"body_bytes": 11,\n  "body": "\\u0001two\\nlines\\ufffd"'),
    Vector("examples/echo", "/more?a=b", contains=b'"path": "/echo.wasm/more",\n  "query": "a=b"'),
    Vector("examples/markdown", contains=b"<h1>Markdown</h1>"),
    Vector("examples/markdown", method=POST, body=b"# A *b*\n\n- [x](javascript:y)\n- [x](a/b?c=\"d)\n\n<script>\n",
           contains=b'<h1>A <em>b</em></h1>\n<ul>\n<li>[x](javascript:y)\n<li><a href="a/b?c=&quot;d">x</a></ul>\n'
                    b'<p>&lt;script&gt;</p>\n'),
    Vector("examples/stats", method=POST, body=b"[3, 1, 4, 1, 5]", answer=b'{"count": 5, "sum": 14, "mean": 2.8, '
           b'"median": 3, "min": 1, "max": 5, "deviation": 1.6}\n'),
    Vector("examples/stats", method=POST, body=b"[1, 2", status=400,
           answer=b'{"error": "a comma or the array\'s end was expected", "at": 5}\n'),
    Vector("examples/stats", status=405, contains=b"POST", fields=[("allow", "POST"),
                                                                   ("content-type", "application/json")]),
]
# 9: wild pointers, each a case of one guest.
VECTORS += [Vector("wild", "?%d" % case, trap=HOST_CALL) for case in [*range(1, 15), *range(20, 29)]]
# Loops that a compiler turns into calls of its library, running off the end.
VECTORS += [Vector("run_off", "?%d" % case, trap=OUT_OF_BOUNDS)
            for case in [*range(1, 8), *range(10, 15), *range(20, 25)]]
