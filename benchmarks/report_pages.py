"""What benchmarks/report writes: a page of Markdown, plots beside it, and the table of README."""
import os
import re
import shutil
import subprocess

import results

BEGIN, END = "<!-- measured: written by benchmarks/report -->", "<!-- end of measured -->"
# What README tells: part, and the beginning of a row's or check's name.
HEADLINES = (
    ("hello", "CPU per request, hello.wasm"), ("cold", "request: function warm"), ("cold", "request: function cached"),
    ("cold", "start: shell script"), ("cold", "start: node"), ("cold", "start: wasmtime, compiled before"),
    ("neighbour", "spin: p99"), ("compute", "fast / native, geometric mean"), ("time-to-live", "hello, median"),
    ("tls", "handshakes/s"), ("density", "memory of an idle function"), ("density", "first request, p99"),
    ("density", "Zipf"), ("prebuild", "CPU use of prebuild"),
)
# Plots made here: part, file, title, unit of the rows, expression that their names match, whether the axis is
# logarithmic.
PLOTS = (
    ("instantiate", "instantiate.svg", "a request to a fresh sandbox, microseconds", "us/request", "", True),
    ("hello", "hello.svg", "CPU time of the server per request, microseconds", "us CPU/request", "", False),
    ("cold", "cold.svg", "until the whole answer, microseconds", "us", "^(?!.*p99)", True),
    ("neighbour", "neighbour.svg", "latency of hello, p99, milliseconds", "ms", ", p99$", True),
    ("tls", "tls.svg", "CPU time of the server, microseconds each", "us CPU each", "", True),
    ("time-to-live", "time-to-live.svg", "milliseconds", "ms", "", False),
)


def number(value):
    """Short, and never less exact than three digits."""
    if value != value or value in (float("inf"), float("-inf")):
        return "-"
    return "%.0f" % value if abs(value) >= 100 else "%.1f" % value if abs(value) >= 10 else \
        "%.2f" % value if abs(value) >= 1 else "%.3f" % value if abs(value) >= 0.01 or value == 0 else "%.5f" % value


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head, rows):
    lines = ["| %s |" % " | ".join(head), "| %s |" % " | ".join("---" for _ in head)]
    return lines + ["| %s |" % " | ".join(cell(value) for value in row) for row in rows]


def tidy(path):
    """gnuplot leaves white space at the ends of lines."""
    with open(path, encoding="utf-8") as stream:
        lines = [line.rstrip() for line in stream.read().rstrip().split("\n")]
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def plot(path, title, rows, is_logarithmic):
    """Medians as points, from least to most as lines. False where there is no gnuplot."""
    if shutil.which("gnuplot") is None or not rows:
        return False
    name = [row["what"].replace("\\", "").replace('"', "'").replace("_", "\\\\_") for row in rows]
    data = "\n".join('"%s" %g %g %g' % (name[i], row["median"], row["min"], row["max"]) for i, row in enumerate(rows))
    script = """set terminal svg size 900,%d font "sans-serif,12" background "white"
set output "%s"
%s
set label "%s" at screen 0.5,0.96 center
set tmargin 3
set yrange [%g:-0.7]
set grid x
unset key
$data << EOD
%s
EOD
plot $data using 2:0:3:4:ytic(1) with xerrorbars pt 7 ps 0.8 lc rgb "#1f6fb2"
""" % (110 + 24 * len(rows), path, "set logscale x" if is_logarithmic else "set xrange [0:*]", title,
       len(rows) - 0.3, data)
    return subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False).returncode == 0


def about(machine):
    rows = [("processor", "%s, %d cores, %s" % (machine["cpu"], machine["cores"], machine["cpu_level"])),
            ("a guest itself", "yes, of a hypervisor" if machine["virtual"] else "no"),
            ("memory", "%s GiB" % machine["memory_gib"]), ("system", machine["system"]), ("kernel", machine["kernel"]),
            ("compilers", "; ".join(machine["compilers"]))]
    rows += [("mitigation: " + name, text) for name, text in machine["mitigations"].items()]
    return table(("", ""), rows)


def section(part, found, out, options):
    heading = "## %s%s" % (part.title, " (quick run)" if options.quick else "")
    if found is None:
        return [heading, "", "**Not measured yet:** `%s`." % part.name, ""]
    lines = [heading, "", "`%s`, at revision %s, %s, took %.0f s; load %.2f before, %.2f after." % (
        found["command"], found["revision"], found["ended"], found["took_s"], *found["load"]), ""]
    if found["failed"]:
        log = found["log"].replace(options.build, "BUILD").replace(options.work, "WORK").replace("```", "'''")
        return lines + ["**This part failed:** it %s. It said last:" % found["failed"], "", "```",
                        *log.split("\n")[-12:], "```", ""]
    if found["checks"]:
        lines += table(("check", "bar", "measured", ""), [
            (check["what"], check["bar"], check["figure"], "held" if check["held"] else "**missed**")
            for check in found["checks"]]) + [""]
    rows = [row for row in found["rows"] if part.table is None or row["unit"] != part.table_unit]
    lines += table(("measured", "unit", "median", "least", "most", "n"), [
        (row["what"], row["unit"], *(number(row[key]) for key in ("median", "min", "max")), row["n"])
        for row in rows]) + [""]
    if part.table and os.path.exists(os.path.join(options.work, part.table)):
        with open(os.path.join(options.work, part.table), encoding="utf-8") as stream:
            lines += [stream.read().strip(), ""]
    pictures = []
    for source in part.plots:
        if os.path.exists(os.path.join(options.work, source)):
            pictures.append(os.path.basename(source))
            shutil.copy(os.path.join(options.work, source), os.path.join(out, pictures[-1]))
            tidy(os.path.join(out, pictures[-1]))
    for owner, name, title, unit, expression, is_logarithmic in PLOTS:
        chosen = [row for row in found["rows"] if row["unit"] == unit and re.search(expression, row["what"])]
        if owner == part.name and plot(os.path.join(out, name), title, chosen, is_logarithmic):
            pictures.append(name)
            tidy(os.path.join(out, name))
    return lines + ["![%s](%s)" % (name[:-4], name) for name in pictures] + [""]


def write(out, parts, found, options):
    os.makedirs(out, exist_ok=True)
    machine = next((result["machine"] for result in found.values() if result and "machine" in result), None)
    checks = [(part, check) for part in parts if found[part.name] and not found[part.name]["failed"]
              for check in found[part.name]["checks"]]
    failed = [part.name for part in parts if found[part.name] and found[part.name]["failed"]]
    absent = [part.name for part in parts if not found[part.name]]
    lines = ["# Measurements%s" % (": a quick run, not to be cited" if options.quick else ""), "",
             "Written by `benchmarks/report`, which runs every benchmark of the project; do not edit. What each",
             "measures, and beside what, `benchmarks/NAME --help` says. Medians, with the least and the most of `n`",
             "values.", ""]
    if options.quick:
        lines += ["**These are small numbers, made to see that everything works. Nothing here is a result.**", ""]
    lines += about(machine or results.machine()) + [""]
    lines += ["%d of %d bars held.%s%s" % (
        sum(1 for _, check in checks if check["held"]), len(checks),
        " **Failed parts: %s.**" % ", ".join(failed) if failed else " No part failed.",
        " **Not measured: %s.**" % ", ".join(absent) if absent else ""), ""]
    missed = [(part.title, check["what"], check["bar"], check["figure"]) for part, check in checks if not check["held"]]
    if missed:
        lines += ["Missed:", ""] + table(("part", "check", "bar", "measured"), missed) + [""]
    for part in parts:
        lines += section(part, found[part.name], out, options)
    path = os.path.join(out, "README.md")
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines).rstrip() + "\n")
    os.rename(path + ".new", path)


def headlines(found):
    for part, beginning in HEADLINES:
        result = found.get(part)
        if not result or result["failed"]:
            continue
        for check in result["checks"]:
            if check["what"].startswith(beginning):
                yield check["what"], check["figure"], check["bar"]
                break
        else:
            row = next((row for row in result["rows"] if row["what"].startswith(beginning)), None)
            if row:
                yield row["what"], "%s %s" % (number(row["median"]), row["unit"]), ""


def write_readme(path, found):
    """Between the two marks, where README has them."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    if BEGIN not in text or END not in text:
        return
    before, rest = text.split(BEGIN, 1)
    lines = table(("", "measured", "bar"), list(headlines(found)))
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])
    os.rename(path + ".new", path)
