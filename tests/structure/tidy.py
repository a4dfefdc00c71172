#!/usr/bin/env python3
"""Sizes, banned functions and small matters of form, over every text file of the repository."""
import os
import re
import sys

import source

FILE_LINES_MAX, FILE_LINES_AIM = 600, 500
FUNCTION_LINES_MAX, FUNCTION_LINES_AIM = 90, 70
COLUMNS_MAX = 120

CODE = (".c", ".h", ".inc", ".S", ".py", ".sh", ".cmake")
BANNED = {
    "strcpy": "snprintf or memcpy", "strcat": "a buffer", "strncpy": "memcpy", "strncat": "a buffer",
    "stpcpy": "memcpy", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "getline", "atoi": "strtol",
    "atol": "strtol", "atoll": "strtoll", "atof": "strtod", "system": "posix_spawn", "popen": "posix_spawn",
    "alloca": "an arena", "strtok": "strchr or strspn", "tmpnam": "mkstemp", "tempnam": "mkstemp",
    "mktemp": "mkstemp", "rand": "getrandom", "srand": "getrandom", "gmtime": "gmtime_r",
    "localtime": "localtime_r", "ctime": "strftime", "asctime": "strftime", "readdir_r": "readdir",
    "vfork": "posix_spawn", "scanf": "strtol",
}
# Test programs run tools of this machine on inputs of their own, want repeatable numbers, and run under a sanitizer.
ALLOWED_IN_TESTS = ("popen", "system", "rand", "srand", "strcpy", "strcat")
# Text for generated C, included once and in a fixed order.
FRAGMENTS = ("compiler/prelude/",)
BANNED_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# Written in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + "XX|HA" + r"CK)\b")
SOMEONES_PATH = re.compile(r"(?<![\w.])/(home|Users)/\w")
GUARD = re.compile(r"^#ifndef (\w+)\n#define \1\b", re.M)


def functions(text):
    """(name, first line, last line) of each function body, counted from the line with its opening brace."""
    text = source.without_directives(source.without_comments(text))
    depth, line, start, name, since = 0, 1, None, "", 0
    for index, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            if depth == 0:
                head = text[since:index].rstrip()
                match = re.search(r"(\w+)\s*\((?:[^()]|\([^()]*\))*\)[\s\w()\",]*$", head)
                start = line if match and head.endswith(")") else None
                name = match.group(1) if match else ""
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                if start is not None:
                    yield name, start, line
                start, since = None, index + 1
        elif char == ";" and depth == 0:
            since = index + 1


def check_c(path, text, problems, warnings):
    bare = source.without_comments(text)
    for number, line in enumerate(bare.split("\n"), 1):
        for match in BANNED_CALL.finditer(line):
            if path.startswith("tests/") and match.group(1) in ALLOWED_IN_TESTS:
                continue
            problems.append("%s:%d: %s is banned, use %s" % (path, number, match.group(1), BANNED[match.group(1)]))
    for name, first, last in functions(text):
        length = last - first + 1
        if length > FUNCTION_LINES_MAX:
            problems.append("%s:%d: %s has %d lines (at most %d)" % (path, first, name, length, FUNCTION_LINES_MAX))
        elif length > FUNCTION_LINES_AIM:
            warnings.append("%s:%d: %s has %d lines (aim: %d)" % (path, first, name, length, FUNCTION_LINES_AIM))
    if path.endswith(".h") and not path.startswith(FRAGMENTS) and not GUARD.search(text):
        problems.append("%s: no include guard (#ifndef X, #define X)" % path)


def is_code(path, text):
    name = os.path.basename(path)
    return path.endswith(CODE) or name == "CMakeLists.txt" or text.startswith("#!")


def check_lines(root, path, text, problems):
    code = is_code(path, text)
    here = os.path.realpath(root)
    table = False
    for number, line in enumerate(text.split("\n"), 1):
        where = "%s:%d" % (path, number)
        # Tables keep their columns: one row, one line.
        table = (table or "clang-format off" in line) and "clang-format on" not in line
        if code and not table and len(line) > COLUMNS_MAX:
            problems.append("%s: %d columns (at most %d)" % (where, len(line), COLUMNS_MAX))
        if "\t" in line and (code or path.endswith(".md")):
            problems.append("%s: a tab" % where)
        if line.endswith((" ", "\r")):
            problems.append("%s: white space at the end" % where)
        if UNFINISHED.search(line):
            problems.append("%s: unfinished (%s)" % (where, UNFINISHED.search(line).group(1)))
        if SOMEONES_PATH.search(line) or (len(here) > 5 and here + "/" in line):
            problems.append("%s: a path of somebody's machine" % where)
    if text and not text.endswith("\n"):
        problems.append("%s: no newline at the end" % path)
    if text.endswith("\n\n"):
        problems.append("%s: empty lines at the end" % path)


def check(root):
    problems, warnings, count = [], [], 0
    for path in source.files(root):
        text = source.read(root, path)
        if text is None:
            # Modules and the like are built, never kept; small data files of tests may be.
            if not path.startswith(("tests/", "examples/", "docs/")):
                problems.append("%s: not text" % path)
            continue
        count += 1
        check_lines(root, path, text, problems)
        lines = text.count("\n")
        if is_code(path, text):
            if lines > FILE_LINES_MAX:
                problems.append("%s: %d lines (at most %d)" % (path, lines, FILE_LINES_MAX))
            elif lines > FILE_LINES_AIM:
                warnings.append("%s: %d lines (aim: %d)" % (path, lines, FILE_LINES_AIM))
        if path.endswith((".c", ".h", ".inc")):
            check_c(path, text, problems, warnings)
    return problems, count, warnings


def body(lines):
    return "int f(int a,\n      int (*b)(void))\n{\n" + "    a++;\n" * (lines - 2) + "}\n"


GOOD = {
    "base/a.h": "#ifndef A\n#define A\nint a(void);\n#endif\n",
    "base/a.c": '/* strcpy(a, b) */\nconst char *s = "gets(";\nstruct s {\n    int system;\n};\n'
                + body(FUNCTION_LINES_MAX) + "int tf_error_system(int x) __attribute__((cold));\n",
    "README.md": "x" * 300 + "\n",
    "base/long.c": "int x;\n" * FILE_LINES_MAX,
}
BAD = (
    ("base/b.c", "void f(char *a)\n{\n    strcpy(a, a);\n}\n", "strcpy is banned"),
    ("base/b.c", "int f(void)\n{\n    return system (0);\n}\n", "system is banned"),
    ("base/b.c", body(FUNCTION_LINES_MAX + 1), "f has 91 lines"),
    ("base/b.c", "int x;\n" * (FILE_LINES_MAX + 1), "601 lines"),
    ("base/b.c", "int " + "x" * 117 + ";\n", "122 columns"),
    ("base/b.c", "int x;\t\n", "a tab"),
    ("base/b.c", "int x; \n", "white space"),
    ("base/b.c", "/* TO" + "DO: all */\n", "unfinished"),
    ("README.md", "See /ho" + "me/someone/x.\n", "somebody's machine"),
    ("base/b.c", "int x;", "no newline"),
    ("base/b.c", "int x;\n\n", "empty lines"),
    ("base/b.h", "int x;\n", "no include guard"),
    ("base/b.h", "#ifndef A\n#define B\n#endif\n", "no include guard"),
    ("cli/tool", "#!/bin/sh\n" + "#" * 121 + "\n", "121 columns"),
)


def self_test():
    with source.Copy(GOOD) as root:
        problems, count, _ = check(root)
        assert not problems and count == len(GOOD), problems
        with open(os.path.join(root, "base/p.c"), "w", encoding="utf-8") as stream:
            stream.write("/* %s/base */\n" % os.path.realpath(root))
        problems, _, _ = check(root)
        assert len(problems) == 1 and "somebody's machine" in problems[0], problems
    for path, text, expected in BAD:
        with source.Copy({**GOOD, path: text}) as root:
            problems, _, _ = check(root)
            if expected == "a tab":
                problems = problems[:1]
            assert len(problems) == 1 and expected in problems[0], (path, expected, problems)
    print("tidy: every planted violation was found")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    found, files, notes = check(sys.argv[1])
    for note in notes:
        print("note: " + note)
    sys.exit(source.finish("tidy", found, files))
