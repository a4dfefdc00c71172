"""Who of this machine's users may read what the server writes: route tables hold the hashes of passwords. As root the
processes have users of their own, and a third one tries; else there is one user, and the modes are looked at."""
import base64
import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys
import unittest

import e2e

WORKER, BUILDER, CERTIFICATES, STRANGER = "games", "man", "mail", "nobody"
PASSWORD = "a-password"
HASH = "sha256:%s:%s" % ("0" * 24, hashlib.sha256(bytes(12) + PASSWORD.encode()).hexdigest())
LOGIN = ("Authorization", "Basic " + base64.b64encode(b"alice:" + PASSWORD.encode()).decode())
RULES = json.dumps({"version": "v1", "users": {"alice": HASH},
                    "per_path_configs": {"/": {"whitelist_additional_permissions": {"alice": "read"}}}}).encode()
# As another user: which of the files can be read.
TRY = """
import os, sys
os.setgroups([int(sys.argv[2])]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
for path in sys.argv[3:]:
    try:
        open(path, "rb").close()
        print(path)
    except OSError:
        pass
"""


def readable_by(user, paths):
    entry = pwd.getpwnam(user)
    output = subprocess.run([sys.executable, "-c", TRY, str(entry.pw_uid), str(entry.pw_gid), *paths],
                            stdout=subprocess.PIPE, check=True).stdout.decode()
    return output.split("\n")[:-1]


class Users(unittest.TestCase):
    def serve(self, config="", umask=0o022):
        server = e2e.Server(config=config)
        self.addCleanup(server.close)
        server.prefix = ["sh", "-c", "umask %03o; exec \"$@\"" % umask, "sh"]
        os.chmod(server.folder, 0o755)
        server.put(".kbp_config", RULES, site="site")
        server.put("x.txt", b"secret", site="site")
        server.start()
        server.until(lambda: server.ask("/x.txt", host="site", headers=[LOGIN]).status == 200, "the site is there")
        self.assertEqual(server.ask("/x.txt", host="site").status, 401)
        return server

    def routes(self, server):
        folder = os.path.join(server.cache, "roots")
        folder = os.path.join(folder, os.listdir(folder)[0])
        found = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("gen-")]
        self.assertTrue(found)
        return found

    def holds_hashes(self, server):
        """Files in the cache where the hash is found, whatever they are called."""
        found = []
        for folder, _, names in os.walk(server.cache):
            for path in (os.path.join(folder, name) for name in names):
                with open(path, "rb") as stream:
                    if HASH.encode() in stream.read():
                        found.append(path)
        return found

    def test_one_user_for_all(self):
        server = self.serve()
        for path in self.routes(server):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
        self.assertTrue(set(self.holds_hashes(server)) <= set(self.routes(server)))
        if os.geteuid() == 0:
            self.assertEqual(readable_by(STRANGER, self.holds_hashes(server)), [])

    def test_tables_of_an_earlier_server_are_closed(self):
        server = self.serve()
        server.stop()
        old = self.routes(server)
        for path in old:
            os.chmod(path, 0o644)
        server.start()
        for path in self.routes(server):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give processes users")
    def test_users_of_their_own(self):
        users = "user: %s\nusers:\n  worker: %s\n  builder: %s\n  certificates: %s\ntls:\n  certificates: %s\n"
        for umask in (0o022, 0o077):
            with self.subTest(umask=oct(umask)):
                folder = "/tmp/tf-e2e-users-%d-%o" % (os.getpid(), umask)
                os.mkdir(folder, 0o755)
                self.addCleanup(os.rmdir, folder)
                config = users % (STRANGER, WORKER, BUILDER, CERTIFICATES, folder)
                config += "listen_tls: 127.0.0.1:%d\n" % e2e.free_port()
                # One that changes, so that a table of the builder's later life is judged too.
                server = self.serve(config, umask)
                server.put("y.txt", b"more", site="later")
                server.put(".kbp_config", RULES, site="later")
                server.until(lambda: server.ask("/y.txt", host="later").status == 401, "a new table")
                tables, held = self.routes(server), self.holds_hashes(server)
                self.assertTrue(set(held) <= set(tables))
                for user in (WORKER, BUILDER):
                    self.assertTrue(set(readable_by(user, tables)), user)
                for user in (STRANGER, "daemon", CERTIFICATES): # the service itself has the group besides
                    self.assertEqual(readable_by(user, tables), [], user)
                owners = {(os.stat(path).st_uid, os.stat(path).st_gid) for path in tables}
                self.assertEqual(owners, {(pwd.getpwnam(BUILDER).pw_uid, pwd.getpwnam(WORKER).pw_gid)})
                self.assert_certificates_may_read(server)
                server.close()

    def assert_certificates_may_read(self, server):
        groups = []
        for pid in e2e.descendants(server.process.pid):
            with open("/proc/%d/cmdline" % pid, "rb") as stream:
                if b"_certificates" not in stream.read().split(b"\0"):
                    continue
            with open("/proc/%d/status" % pid, encoding="ascii") as stream:
                groups += next(line for line in stream if line.startswith("Groups:")).split()[1:]
        self.assertIn(str(pwd.getpwnam(WORKER).pw_gid), groups)


if __name__ == "__main__":
    e2e.main()
