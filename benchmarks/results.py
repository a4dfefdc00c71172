"""What a benchmark found, in the one form that benchmarks/report reads:

    {"name", "machine": {...}, "began", "took_s",
     "rows": [{"what", "unit", "median", "min", "max", "n"}], "checks": [{"what", "bar", "figure", "held"}], ...}

A row is one measured figure; `n` is how many values the median is of. A check compares a figure with its bar, both as
text. Whatever else a benchmark keeps (all runs, say) stands beside.
"""
import json
import os
import platform
import random
import re
import statistics
import subprocess
import time


def interval(values, seed=1):
    """Median, and the bootstrap's 95 % interval of it."""
    source = random.Random(seed)
    medians = sorted(statistics.median(source.choices(values, k=len(values))) for _ in range(10000))
    return statistics.median(values), medians[249], medians[9749]


def first_line(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def content(path):
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def mitigations():
    """{weakness: what the kernel does about it}, without those that the machine does not have."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = {name: content(os.path.join(folder, name)) for name in names}
    return {name: text for name, text in found.items() if text != "Not affected"}


def machine():
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", content("/proc/cpuinfo"))
    memory = re.search(r"(?m)^MemTotal:\s+(\d+)", content("/proc/meminfo"))
    words = (re.search(r"(?m)^flags\s*:\s*(.+)$", content("/proc/cpuinfo")) or [""])[0].split()
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "cpu_level": "x86-64-v%d" % (4 if "avx512vl" in words else 3 if "avx2" in words else 2),
        "virtual": "hypervisor" in words,
        "memory_gib": round(int(memory[1]) / 1048576, 1) if memory else None,
        "kernel": platform.release(),
        "system": (re.search(r'(?m)^PRETTY_NAME="(.+)"', content("/etc/os-release")) or [None, "?"])[1],
        "compilers": [line for line in (first_line("gcc", "--version"), first_line("clang", "--version")) if line],
        "mitigations": mitigations(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


class Results:
    def __init__(self, name):
        self.name, self.began, self.clock = name, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.monotonic()
        self.machine, self.rows, self.checks = machine(), [], []

    def row(self, what, unit, values):
        """`values`: all that were measured, or the only one."""
        values = [float(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
        self.rows.append({"what": what, "unit": unit, "median": statistics.median(values), "min": min(values),
                          "max": max(values), "n": len(values)})

    def check(self, what, bar, figure, held):
        self.checks.append({"what": what, "bar": str(bar), "figure": str(figure), "held": bool(held)})

    def write(self, path, more=None):
        """Whole or not at all. No path: nothing."""
        if not path:
            return
        whole = {"name": self.name, "machine": self.machine, "began": self.began,
                 "took_s": round(time.monotonic() - self.clock, 1), "rows": self.rows, "checks": self.checks,
                 **(more or {})}
        with open(path + ".new", "w", encoding="utf-8") as stream:
            json.dump(whole, stream, indent=1)
            stream.write("\n")
        os.rename(path + ".new", path)
