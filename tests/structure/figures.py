#!/usr/bin/env python3
"""README claims nothing that the report does not show: figures.py ROOT, or figures.py --self-test.

Every number with a unit in README.md, and every number with a decimal point, must stand in docs/report/README.md, or be
the default of a limit, or be listed here as no measurement. And every figure of the table that benchmarks/report writes
must stand in the report word by word.
"""
import re
import sys

import source

REPORT = "docs/report/README.md"
BEGIN, END = "<!-- measured: written by benchmarks/report -->", "<!-- end of measured -->"
UNITS = (r"ns|µs|us|ms|s|seconds?|milliseconds?|microseconds?|minutes?|hours?|[kK]B|MB|GB|KiB|MiB|GiB|bytes|%|"
         r"requests/s|requests/second|requests a second|times|x|×|cores?")
# Not measured: what it is instead.
NO_FIGURES = {
    "2 cores": "what the demonstration asks for",
}
FIGURE = re.compile(r"(?<![\w.:/-])(\d+(?:[.,]\d+)*)(?:[ \u00a0]?(%s)(?![\w/]))?(?![\w.]*\d)" % UNITS)
# Versions and addresses are no figures, and code shows what to type.
PASSED_OVER = re.compile(r"```.*?```|(?m:^ {4}.*$)|`[^`\n]*`|\]\([^)\s]*\)|https?://\S+|HTTP/\d\.\d|\b(?:Debian|wabt|"
                         r"gcc|clang|Go|Node|Rust|Python|TLS|OpenSSL|version|preview)[ -]\d[\w.]*", re.S)
TABLE = re.compile(re.escape(BEGIN) + "(.*?)" + re.escape(END), re.S)
SCALE = {"bytes": 1, "KiB": 1024, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1, "s": 1000, "seconds": 1000}


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def figures(text):
    """Line, number and unit (or None) of each."""
    for match in FIGURE.finditer(PASSED_OVER.sub(blank, text)):
        if match.group(2) is not None or match.group(1).count(".") == 1:
            yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def defaults(limits_h):
    """(kind, number): bytes, or milliseconds."""
    found = set()
    for value, unit in re.findall(r'X\(\w+,\s*(\d+),\s*\d+,\s*\d+,\s*"([^"]+)"', limits_h):
        if unit == "bytes":
            found.add(("bytes", int(value)))
        elif unit.startswith("pages of 64 KiB"):
            found.add(("bytes", int(value) << 16))
        elif unit in ("ms", "seconds"):
            found.add(("time", int(value) * SCALE[unit]))
    return found


def is_default(number, unit, limits):
    if unit not in SCALE:
        return False
    value = float(number.replace(",", "")) * SCALE[unit]
    return ("time" if unit in ("ms", "s", "seconds") else "bytes", value) in limits


def words(text):
    """With single spaces, for searching."""
    return " ".join(text.split())


def stands_in(report, number, unit):
    """In a sentence, or in a row with the unit before the number."""
    claims = [number] if unit is None else ["%s %s" % (number, unit), "%s%s" % (number, unit),
                                            "| %s | %s" % (unit, number)]
    return any(re.search(r"(?<![\w.])%s(?!\w|\.\d)" % re.escape(claim), report) for claim in claims)


def problems(readme, report, limits_h):
    limits, report = defaults(limits_h), words(report or "")
    for line, number, unit in figures(TABLE.sub(blank, readme)):
        claim = number if unit is None else "%s %s" % (number, unit)
        if claim in NO_FIGURES or is_default(number, unit, limits):
            continue
        if not stands_in(report, number, unit):
            yield "README.md:%d: %s is not in %s, and no limit's default" % (line, claim, REPORT)
    if (BEGIN in readme) != (END in readme):
        yield "README.md: one of the two marks of the measured table is missing"
    for row in [row for row in "".join(TABLE.findall(readme)).split("\n") if row.startswith("|")][2:]:
        what, figure, bar = [cell.strip() for cell in row.split("|")[1:-1]]
        value, _, unit = figure.partition(" ")
        # A check's figure stands behind its bar, a row's behind its unit.
        claim = "| %s | %s | %s |" % ((what, bar, figure) if bar else (what, unit, value))
        if words(claim) not in report:
            yield "README.md: the report does not show '%s' for '%s'" % (figure, what)


def self_test():
    limits = ('X(a_bytes, 1048576, 0, 9, "bytes", "x") X(b_ms, 5000, 1, 9, "ms", "x") '
              'X(c, 2, 1, 9, "pages of 64 KiB", "x")')
    report = "| a | us | 44 | 30 | 60 | 9 |\n| ratio | at most 1.10 | 1.034 (95 %: 1.02 to 1.05) | held |\n12 ms"
    head = BEGIN + "\n| | measured | bar |\n| --- | --- | --- |\n"
    cases = (
        ("nothing", "", 0), ("a limit in two units", "1 MiB, 5 s, 128 KiB, 5000 ms", 0), ("not a limit", "2 MiB", 1),
        ("in the report", "it takes 12 ms.", 0), ("in a row", "44 us", 0),
        ("not in it", "it takes 13 ms.", 1), ("another unit", "12 us", 1),
        ("the end of a number", "2 ms", 1), ("a ratio", "costs 1.034 of it", 0),
        ("another ratio", "costs 1.03 of it", 1),
        ("percent", "faster by 40 %, or 41%", 2), ("versions", "HTTP/1.1, Debian 12, wabt 1.0.36, 127.0.0.1", 0),
        ("code", "`sleep 3 s`\n\n    wait 7 ms\n\n```\n9 ms\n```\n", 0),
        ("counts", "404, 10,000 connections, 2 folders", 0),
        ("a table that is right",
         head + "| a | 44 us | |\n| ratio | 1.034 (95 %: 1.02 to 1.05) | at most 1.10 |\n" + END, 0),
        ("a row of something else", head + "| b | 44 us | |\n" + END, 1),
        ("another bar", head + "| ratio | 1.034 (95 %: 1.02 to 1.05) | at most 1.20 |\n" + END, 1),
        ("one mark", BEGIN, 1),
    )
    failed = 0
    for name, readme, expected in cases:
        found = list(problems(readme, report, limits))
        if len(found) != expected:
            failed += 1
            print("%s: expected %d problems, found %r" % (name, expected, found))
    print("figures, self-test: %d of %d as expected" % (len(cases) - failed, len(cases)))
    return 1 if failed else 0


def main(root):
    try:
        report = source.read(root, REPORT)
    except OSError:
        report = None
    found = list(problems(source.read(root, "README.md"), report, source.read(root, "include/terrafirma/limits.h")))
    for problem in found:
        print(problem)
    print("figures: %d problems" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main(sys.argv[1]))
