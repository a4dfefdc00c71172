#!/usr/bin/env python3
"""Holds the include table of ARCHITECTURE.md: which folder may use which.

Direct #include lines are judged, and the libraries that a folder's CMakeLists.txt links its own library with.
"""
import os
import re
import sys

import source

TABLE = {
    "include": set(),
    "base": {"include"},
    "compiler": {"base", "include"},
    "cache": {"base", "include"},
    "loader": {"cache", "base", "include"},
    "runtime": {"base", "include"},
    "services": {"base", "include"},
    "sites": {"base", "include"},
    "watcher": {"compiler", "cache", "sites", "base", "include"},
    "h2o-handler": {"loader", "runtime", "sites", "base", "include"},
    "cli": set(source.PRODUCT),
}
# Who depends on nothing's say-so: nothing may depend on them.
FREE = ("tests", "benchmarks", "examples")

# Headers of the outside world that belong to certain folders. Tests may use them all.
OUTSIDE = (
    (re.compile(r"^h2o(\.h$|/)"), {"h2o-handler", "benchmarks", "tests"}),
    (re.compile(r"^dlfcn\.h$"), {"tests", "benchmarks"}),
    (re.compile(r"^curl/"), {"services", "tests"}),
    (re.compile(r"^(ares|lmdb)\.h$"), {"services", "sites", "tests", "benchmarks"}),
    (re.compile(r"^(openssl/ssl|nghttp2/)"), {"h2o-handler", "sites", "services", "tests", "benchmarks"}),
    (re.compile(r"^(libelf|gelf|elf)\.h$"), {"compiler", "loader", "runtime", "tests"}),
    (re.compile(r"^yaml\.h$"), {"cli", "sites", "tests"}),
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]*(.*)$', re.M)
LINK = re.compile(r"target_link_libraries\s*\(([^)]*)\)")


def folder_of(path):
    return path.split("/", 1)[0]


def resolve(root, path, name, quoted):
    """The repository path an include means, or None where it is a system header."""
    candidates = []
    if quoted:
        candidates.append(os.path.normpath(os.path.join(os.path.dirname(path), name)))
    candidates += [os.path.normpath(name), os.path.normpath(os.path.join("include", name))]
    for candidate in candidates:
        if not candidate.startswith("..") and os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def without_block_comments(text):
    return re.sub(r"/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match.group(0)), text, flags=re.S)


def check_include(root, path, line, operand, problems):
    where = "%s:%d" % (path, line)
    mine = folder_of(path)
    match = re.match(r'"([^"]+)"|<([^>]+)>', operand)
    if not match:
        problems.append("%s: #include of a macro cannot be judged" % where)
        return
    quoted = match.group(1) is not None
    name = match.group(1) or match.group(2)
    target = resolve(root, path, name, quoted)
    if target is None:
        if quoted:
            problems.append('%s: "%s" is not a file of this repository' % (where, name))
        for pattern, owners in OUTSIDE:
            if pattern.match(name) and mine not in owners:
                problems.append("%s: only %s may include <%s>" % (where, ", ".join(sorted(owners)), name))
        return
    theirs = folder_of(target)
    if mine in TABLE and ".." in name.split("/"):
        problems.append("%s: include by way of .. (%s)" % (where, name))
    if theirs == "include" and quoted:
        problems.append("%s: write <%s>" % (where, os.path.relpath(target, "include")))
    if theirs != "include" and not quoted:
        problems.append('%s: write "%s"' % (where, target))
    if theirs == mine or mine in FREE:
        return
    if theirs not in TABLE.get(mine, set()):
        problems.append("%s: %s/ may not include %s" % (where, mine, target))


def check_links(root, problems):
    for folder, allowed in TABLE.items():
        path = folder + "/CMakeLists.txt"
        if not os.path.isfile(os.path.join(root, path)):
            continue
        text = re.sub(r"#[^\n]*", "", source.read(root, path))
        for call in LINK.findall(text):
            words = call.split()
            for word in words[1:]:
                match = re.match(r"^tf_([a-z0-9_]+)$", word)
                name = match.group(1).replace("_", "-") if match else None
                if name in TABLE and name != folder and name not in allowed:
                    problems.append("%s: %s may not link %s" % (path, words[0], word))


def check(root):
    problems, count = [], 0
    for path in source.files(root):
        if not path.endswith(source.C_SUFFIXES) or folder_of(path) not in set(TABLE) | set(FREE):
            continue
        text = source.read(root, path)
        if text is None:
            problems.append("%s: not UTF-8 text" % path)
            continue
        count += 1
        text = without_block_comments(text)
        for match in INCLUDE.finditer(text):
            check_include(root, path, text.count("\n", 0, match.start()) + 1, match.group(1).strip(), problems)
    check_links(root, problems)
    return problems, count


GOOD = {
    "include/terrafirma/abi.h": "#include <stdint.h>\n",
    "base/buffer.h": "#include <stddef.h>\n",
    "cache/cache.h": '#include "base/buffer.h"\n#include <terrafirma/abi.h>\n',
    "loader/loader.h": '#include "cache/cache.h"\n',
    "loader/loader.c": '#include "loader/loader.h"\n#include <elf.h>\n',
    "runtime/runtime.h": "#include <terrafirma/abi.h>\n",
    "runtime/slot.c": '#include "runtime.h"\n/*\n#include "cache/cache.h"\n*/\n',
    "h2o-handler/worker.c": '#include <h2o.h>\n#include "loader/loader.h"\n',
    "cli/main.c": '#include "loader/loader.h"\n#include "runtime/runtime.h"\n',
    "tests/x.h": "",
    "tests/loader/t.c": '#include "../x.h"\n#include "loader/loader.c"\n#include <h2o.h>\n',
}
BAD = (
    ("base/a.c", '#include "cache/cache.h"\n', "base/ may not include cache/cache.h"),
    ("include/terrafirma/b.h", '#include "base/buffer.h"\n', "include/ may not include"),
    ("runtime/a.c", '#include "loader/loader.h"\n', "runtime/ may not include loader"),
    ("runtime/a.c", "#include <dlfcn.h>\n", "may include <dlfcn.h>"),
    ("runtime/a.c", "#  include <curl/curl.h>\n", "may include <curl/curl.h>"),
    ("cli/a.c", "#include <h2o.h>\n", "may include <h2o.h>"),
    ("watcher/a.c", "#include <h2o/memory.h>\n", "may include <h2o/memory.h>"),
    ("watcher/a.c", '#include "runtime/runtime.h"\n', "watcher/ may not include runtime"),
    ("h2o-handler/a.c", '#include "cache/cache.h"\n', "h2o-handler/ may not include cache"),
    ("cli/a.c", '#include "tests/x.h"\n', "cli/ may not include tests"),
    ("cache/a.c", '#include "../base/buffer.h"\n', "by way of .."),
    ("cache/a.c", "#include <base/buffer.h>\n", 'write "base/buffer.h"'),
    ("cache/a.c", '#include "terrafirma/abi.h"\n', "write <terrafirma/abi.h>"),
    ("cache/a.c", '#include "gone.h"\n', "is not a file"),
    ("cache/a.c", "#include HEADER\n", "of a macro"),
    ("runtime/CMakeLists.txt", "target_link_libraries(tf_runtime PUBLIC tf_base\n tf_loader)\n",
     "may not link tf_loader"),
)


def self_test():
    with source.Copy(GOOD) as root:
        problems, count = check(root)
        assert not problems and count == len(GOOD), problems
    for path, text, expected in BAD:
        with source.Copy({**GOOD, path: text}) as root:
            problems, _ = check(root)
            assert len(problems) == 1 and expected in problems[0], (path, text, expected, problems)
    print("includes: every planted violation was found")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(source.finish("includes", *check(sys.argv[1])))
