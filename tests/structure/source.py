"""The project's source files, and C text without comments, strings and directives."""
import os
import re
import shutil
import tempfile

PRODUCT = ("include", "base", "compiler", "cache", "loader", "runtime", "services", "sites", "watcher", "h2o-handler",
           "cli")
AROUND = ("tests", "benchmarks", "examples", "scripts", "docs", ".ci")
SKIPPED = re.compile(r"^(\.git|build.*|__pycache__|\.cache|\.vscode|\.idea)$")
C_SUFFIXES = (".c", ".h", ".inc", ".S")


def files(root):
    """Paths relative to root, sorted."""
    found = []
    for folder, names, entries in os.walk(root):
        names[:] = sorted(name for name in names if not SKIPPED.match(name))
        for entry in sorted(entries):
            path = os.path.join(folder, entry)
            if os.path.isfile(path) and not os.path.islink(path):
                found.append(os.path.relpath(path, root))
    return found


def read(root, path):
    """The text of a file, or None where it is not text."""
    with open(os.path.join(root, path), "rb") as stream:
        data = stream.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(match):
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """Comments and the inside of strings become spaces; lines and columns stay."""
    return _TOKEN.sub(_blank, text)


def without_directives(text):
    """Preprocessor lines, with their continuations, become empty lines."""
    lines = text.split("\n")
    result, inside = [], False
    for line in lines:
        inside = inside or line.lstrip().startswith("#")
        result.append("" if inside else line)
        inside = inside and line.endswith("\\")
    return "\n".join(result)


class Copy:
    """A temporary tree for the self-tests: `with Copy({"base/x.c": "text"}) as root`."""

    def __init__(self, contents):
        self.contents = contents

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="tf-structure-")
        for path, text in self.contents.items():
            full = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as stream:
                stream.write(text)
        return self.root

    def __exit__(self, *_):
        shutil.rmtree(self.root)


def finish(name, problems, checked):
    """Prints the verdict and returns the exit code."""
    for problem in problems:
        print(problem)
    if problems:
        print("%s: %d problems" % (name, len(problems)))
        return 1
    print("%s: %d files, no problem" % (name, checked))
    return 0
