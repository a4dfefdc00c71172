#!/usr/bin/env python3
"""Links of documents lead somewhere; files and keys that they name are there. links.py SOURCE, or --self-test."""
import os
import re
import sys

import source

LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
FILE = re.compile(r"`((?:%s)/[\w./-]*[\w/])`" % "|".join(source.PRODUCT + source.AROUND).replace(".", r"\."))
KEY = re.compile(r"`([a-z]+\.[a-z_0-9]+)`")
KEYS = "docs/configuration.md"


def anchors(text):
    """As forges make them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"(?m)^#+ (.*)$", text)}


def check(root):
    problems = []
    files = {path: source.read(root, path) for path in source.files(root)}
    folders = {""}
    for path in files:
        while path:
            path = os.path.dirname(path)
            folders.add(path)
    keys = set(re.findall(r"(?m)^\| `([a-z]+\.[a-z_0-9]+)` \|", files.get(KEYS) or ""))
    sections = {key.split(".")[0] for key in keys}
    pages = {path: text for path, text in files.items() if path.endswith(".md") and text is not None}
    for page, text in pages.items():
        for target, anchor in LINK.findall(text):
            if "://" in target:
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(page), target)) if target else page
            if path not in files and path not in folders:
                problems.append("%s: the link %s leads nowhere" % (page, target))
            elif anchor and path in pages and anchor[1:] not in anchors(pages[path]):
                problems.append("%s: %s has no heading %s" % (page, path, anchor))
        for name in FILE.findall(text):
            near = os.path.normpath(os.path.join(os.path.dirname(page), name))
            if not {name.rstrip("/"), near} & (files.keys() | folders):
                problems.append("%s: there is no %s" % (page, name))
        for key in set(KEY.findall(text)) - keys:
            section, name = key.split(".")
            if section in sections and len(name) > 1: # else a file: limits.h
                problems.append("%s: there is no key %s" % (page, key))
    return problems, len(pages)


GOOD = {"README.md": "# A b\n[x](docs/x.md#the-one-key) [y](#a-b) [z](https://a/b) `base/x.c` `limits.h` "
                     "`limits.one`\n",
        "docs/x.md": "## The one: key\n[up](../README.md) [base](../base/)\n", "base/x.c": "int x;\n",
        KEYS: "| `limits.one` | 1 |\n"}
BAD = (("[x](z.md)", "leads nowhere"), ("[x](x.md#two)", "no heading #two"), ("`base/y.c`", "no base/y.c"),
       ("`limits.two`", "no key limits.two"))


def self_test():
    with source.Copy(GOOD) as root:
        assert check(root) == ([], 3), check(root)
    for text, expected in BAD:
        with source.Copy({**GOOD, "docs/w.md": text + "\n"}) as root:
            problems, _ = check(root)
            assert len(problems) == 1 and expected in problems[0], (text, problems)
    print("links: every planted violation was found")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    found, count = check(sys.argv[1])
    sys.exit(source.finish("links", found, count))
