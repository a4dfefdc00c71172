"""terrafirma site: the command that writes the rules, and a server that follows them."""
import json
import os
import pty
import stat
import subprocess

import e2e
from test_access import login


class Command(e2e.Case):
    @classmethod
    def prepare(cls, server):
        server.put("page.html", b"<p>page", site="a.example")
        server.put("drafts/page.html", b"<p>draft", site="a.example")
        server.put("page.html", b"<p>page", site="b.example")
        server.put("page.html", b"<p>page", site="c.example")

    def run_it(self, *words, password=None, status=0):
        given = {"stdin": subprocess.DEVNULL} if password is None else {"input": password.encode() + b"\n"}
        result = subprocess.run([e2e.PROGRAM, "site", *words, "--root", self.server.root], capture_output=True,
                                check=False, timeout=60, **given)
        self.assertEqual(result.returncode, status, result)
        return result.stdout.decode()

    def document(self, site="a.example"):
        with open(self.server.path(".kbp_config", site), encoding="utf-8") as stream:
            return json.load(stream)

    def test_users_and_permissions(self):
        self.run_it("user", "add", "a.example", "alice", "--cost", "4", password="secret")
        # What held before goes on.
        self.server.wait_for("/page.html", host="a.example")
        self.run_it("permission", "set", "a.example", "/drafts/", "none")
        self.run_it("permission", "set", "a.example", "drafts", "read", "--user", "alice")
        self.server.wait_for("/drafts/page.html", 401, host="a.example")
        self.assert_status(self.server.ask("/drafts/page.html", host="a.example", headers=[login("alice", "secret")]),
                           200)
        self.run_it("user", "add", "a.example", "bob", "--sha256", password="bobs")
        self.run_it("permission", "set", "a.example", "/drafts", "read", "--user", "bob")
        self.server.until(lambda: self.server.ask("/drafts/page.html", host="a.example",
                                                  headers=[login("bob", "bobs")]).status == 200, "bob is known")
        self.assertEqual(sorted(self.run_it("user", "list", "a.example").split("\n")),
                         ["", "alice  bcrypt, cost 4", "bob  sha256"])
        self.assertIn("/drafts  -", self.run_it("permission", "list", "a.example"))
        # One entry, however its path is spelled.
        self.assertEqual(sorted(self.document()["per_path_configs"]), ["/", "/drafts"])
        self.run_it("user", "remove", "a.example", "bob")
        self.assertNotIn("bob", json.dumps(self.document()))
        self.run_it("permission", "clear", "a.example", "/drafts")
        self.server.wait_for("/drafts/page.html", 200, host="a.example")

    def test_what_is_not_known_stays(self):
        self.server.put(".kbp_config", b'{"version":"v1","mine":[1,{"x":null}],"acls":{"/":{"anonymous_permissions":'
                        b'"read","also":"mine"}}}', site="b.example")
        os.chmod(self.server.path(".kbp_config", "b.example"), 0o604)
        self.run_it("permission", "set", "b.example", "/", "read,list")
        config = self.document("b.example")
        self.assertEqual(config["mine"], [1, {"x": None}])
        self.assertEqual(config["acls"]["/"], {"anonymous_permissions": "read,list", "also": "mine"})
        self.assertNotIn("per_path_configs", config)
        mode = os.stat(self.server.path(".kbp_config", "b.example")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o604)

    def test_wrong_use_changes_nothing(self):
        self.server.put(".kbp_config", b'{"version":"v1"}', site="b.example")
        for words, status in ((("user", "add", "b.example", "a:b"), 2), (("user", "add", "b.example", ""), 2),
                              (("user", "add", "none.example", "x"), 1), (("user", "remove", "b.example", "x"), 1),
                              (("user", "add", "../b.example", "x"), 2), (("user", "add"), 2), ((), 2),
                              (("permission", "set", "b.example", "/../x", "read"), 2),
                              (("permission", "set", "b.example", "/", "write"), 2),
                              (("permission", "set", "b.example", "/", "read", "--user", "x"), 1),
                              (("permission", "clear", "b.example", "/x"), 1),
                              (("user", "add", "b.example", "x", "--cost", "3"), 2),
                              (("user", "list", "b.example", "more"), 2)):
            self.run_it(*words, password="secret", status=status)
            self.assertEqual(self.document("b.example"), {"version": "v1"}, words)
        self.run_it("user", "add", "b.example", "x", password="", status=2)
        # A hash that the server would not take is not written.
        self.run_it("user", "add", "b.example", "x", "--cost", "5", "--set", "limits.config_bcrypt_cost=4",
                    password="secret", status=1)
        self.assertEqual(self.document("b.example"), {"version": "v1"})

    def test_at_a_terminal_the_password_is_not_shown(self):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([e2e.PROGRAM, "site", "user", "add", "c.example", "carol", "--cost", "4", "--root",
                                    self.server.root], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
        os.close(theirs)
        shown = b""
        for prompt in (b"Password: ", b"Once more: "):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1000)
            os.write(ours, b"a secret\n")
        try:
            while True:
                data = os.read(ours, 1000)
                if not data:
                    break
                shown += data
        except OSError:
            pass
        self.assertEqual(process.wait(60), 0, shown)
        os.close(ours)
        self.assertNotIn(b"a secret", shown)
        self.assertIn("carol", self.document("c.example")["users"])


if __name__ == "__main__":
    e2e.main()
