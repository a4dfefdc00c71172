#!/usr/bin/env python3
"""How scripts/install-deps finds a Debian mirror in apt's sources, in both of apt's formats: mirrors.py ROOT."""
import os
import subprocess
import sys

import source

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
CASES = (
    ("nothing", {"sources.list": "# empty\n"}, []),
    ("one line", {"sources.list": "deb http://a.example/debian bookworm main\n"}, ["http://a.example/debian\t-"]),
    ("options, more components, a comment",
     {"sources.list": "# x\n deb  [arch=amd64 signed-by=%s]  https://a.example/debian/   bookworm  contrib main # y\n"
      % KEY}, ["https://a.example/debian/\t" + KEY]),
    ("other people's, sources of sources, security, no main",
     {"sources.list": "deb https://apt.example/x cloud-bookworm main\ndeb-src http://s.example/debian bookworm main\n"
      "deb http://b.example/security bookworm-security main\ndeb http://c.example/debian bookworm contrib\n"
      "#deb http://d.example/debian bookworm main\n"}, []),
    ("fields",
     {"sources.list.d/debian.sources": "Types: deb deb-src\n# why\nURIs: http://a.example/debian\n"
      "Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: %s\n\n"
      "Types: deb\nURIs: http://a.example/security\nSuites: bookworm-security\nComponents: main\n" % KEY},
     ["http://a.example/debian\t" + KEY]),
    ("folded fields, two mirrors, a key written out",
     {"sources.list.d/debian.sources": "types: deb\nuris:\n  http://a.example/debian\n  http://b.example/debian\n"
      "suites: stable\ncomponents: main\nsigned-by:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"},
     ["http://a.example/debian\t-", "http://b.example/debian\t-"]),
    ("switched off", {"sources.list.d/x.sources": "Enabled: no\nTypes: deb\nURIs: http://a.example/debian\n"
                      "Suites: bookworm\nComponents: main\n"}, []),
    ("a stanza ends with its file",
     {"sources.list.d/a.sources": "Types: deb\nURIs: http://a.example/debian\nComponents: main\n",
      "sources.list.d/b.sources": "Suites: bookworm\n"}, []),
    ("order, and each once",
     {"sources.list": "deb http://a.example/debian bookworm main\ndeb http://a.example/debian stable main\n",
      "sources.list.d/z.list": "deb http://z.example/debian trixie main\n"},
     ["http://a.example/debian\t-", "http://z.example/debian\t-"]),
)


def main(root):
    failed = 0
    for name, files, expected in CASES:
        with source.Copy(files) as folder:
            result = subprocess.run([os.path.join(root, "scripts/install-deps"), "--mirrors"], capture_output=True,
                                    text=True, check=False, env={**os.environ, "TF_APT_FOLDER": folder})
        found = result.stdout.splitlines()
        if result.returncode != 0 or found != expected:
            failed += 1
            print("%s: expected %r, found %r, exit %d\n%s" % (name, expected, found, result.returncode, result.stderr))
    print("mirrors: %d of %d as expected" % (len(CASES) - failed, len(CASES)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
