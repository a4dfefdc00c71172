"""Each test that docs/rules.md names is a test: rules.py SOURCE, or rules.py --self-test."""
import os
import re
import sys


def named(text):
    """In the last column of tables."""
    found = []
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and set(cells[1]) != {"-"}:
            found += re.findall(r"`([a-z0-9_]+)`", cells[-2])
    return found


def known(text):
    """In a source of tests: TEST(name) in C, methods in Python."""
    return set(re.findall(r"\bTEST\((\w+)\)", text)) | set(re.findall(r"(?m)^ +def (test_\w+)\(", text))


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def main(source):
    tests = set()
    for folder, _, names in os.walk(os.path.join(source, "tests")):
        for name in names:
            if re.search(r"test.*\.(c|py)$", name):
                tests |= known(read(os.path.join(folder, name)))
    rules = named(read(os.path.join(source, "docs/rules.md")))
    missing = [name for name in rules if name not in tests]
    for name in missing:
        print("docs/rules.md: there is no test %s" % name)
    print("rules: %d tests named, %d missing" % (len(rules), len(missing)))
    return 1 if missing or not rules else 0


def self_test():
    page = "`not_in_a_table`\n| rule | tests |\n| --- | --- |\n| `x` is | `there`, `test_it` |\n| y | `gone` |\n"
    assert named(page) == ["there", "test_it", "gone"], named(page)
    assert known("TEST_MAIN(TEST(there))\nclass A:\n    def test_it(self):\n") == {"there", "test_it"}
    return 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1] == "--self-test" else main(sys.argv[1]))
