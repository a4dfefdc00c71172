#!/usr/bin/env python3
"""Every header compiles alone, and twice: usage headers.py ROOT COMPILER [FLAGS…]."""
import concurrent.futures
import os
import subprocess
import sys

import source

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes",
         "-Wmissing-prototypes", "-Wno-missing-field-initializers", "-Wno-unused-function", "-x", "c", "-"]
# Folders whose headers are compiled for this machine. Those of examples/ and of guests are for WebAssembly.
FOLDERS = source.PRODUCT + ("tests", "benchmarks")
# Nor are fragments of generated C, which mean nothing alone.
LEFT_OUT = ("tests/guests/", "benchmarks/guests/", "compiler/prelude/")


def compile_alone(root, path, compiler, flags):
    name = path[len("include/"):] if path.startswith("include/") else path
    line = "#include <%s>\n" % name if path.startswith("include/") else '#include "%s"\n' % name
    result = subprocess.run([compiler, "-I" + root, "-I" + os.path.join(root, "include"), *flags, *FLAGS],
                            input=line * 2, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return "%s does not compile alone, or not twice:\n%s" % (path, result.stderr.rstrip())
    return None


def check(root, compiler, flags):
    headers = [path for path in source.files(root)
               if path.endswith(".h") and path.split("/")[0] in FOLDERS and not path.startswith(LEFT_OUT)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: compile_alone(root, path, compiler, flags), headers)
    return [result for result in results if result], len(headers)


GOOD = {
    "include/terrafirma/a.h": "#ifndef A\n#define A\n#include <stdint.h>\nstruct a {\n    uint32_t x;\n};\n#endif\n",
    "base/b.h": "#ifndef B\n#define B\n#include <terrafirma/a.h>\nstruct a *b(void);\n#endif\n",
    "examples/guest.h": "this is for another machine\n",
}
BAD = (
    ("base/c.h", "#ifndef C\n#define C\nuint32_t c(void);\n#endif\n"),
    ("base/c.h", "struct c {\n    int x;\n};\n"),
    ("include/terrafirma/c.h", "#ifndef C\n#define C\nint c(struct unknown x);\n#endif\n"),
)


def self_test(compiler, flags):
    with source.Copy(GOOD) as root:
        problems, count = check(root, compiler, flags)
        assert not problems and count == 2, problems
    for path, text in BAD:
        with source.Copy({**GOOD, path: text}) as root:
            problems, _ = check(root, compiler, flags)
            assert len(problems) == 1 and problems[0].startswith(path), (path, problems)
    print("headers: every planted violation was found")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        sys.exit(self_test(sys.argv[2], sys.argv[3:]))
    sys.exit(source.finish("headers", *check(sys.argv[1], sys.argv[2], sys.argv[3:])))
