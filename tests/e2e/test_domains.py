"""Which folder a domain means: the operator's mapping, folders, records in the DNS (a real server), `_default`; what
resolvers do wrong; and that whoever is known waits for nobody's look-up."""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import e2e
import guests
import nameserver

TEXT = b"served from %s"

RECORDS = r"""
_keybase_pages.plain     TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.bare      TXT "kbp=/keybase/private/alice,kbwasm"
_keybase_pages.swapped   TXT "kbp=/keybase/private/kbwasm,alice/"
_keybase_pages.case      TXT "kbp=/keybase/private/KBwasm,Alice/"
_keybase_pages.spelled   TXT "kbp=/keybase/private/bob,carol"
_keybase_pages.reads     TXT "kbp=/keybase/private/alice#kbwasm"
_keybase_pages.everybody TXT "kbp=/keybase/public/alice/"
_keybase_pages.changes   TXT "kbp=/keybase/public/alice/"
_keybase_pages.crew      TXT "kbp=/keybase/team/acme.web"
_keybase_pages.deep      TXT "kbp=/keybase/private/alice,kbwasm/sub/dir/"
_keybase_pages.split     TXT "kbp=/keybase/private/ali" "ce,kb" "wasm/"
_keybase_pages.spaces    TXT "  kbp=  /keybase/private/alice,kbwasm/  "
_keybase_pages.beside    TXT "v=spf1 -all"
_keybase_pages.beside    TXT "kbp=/keybase/private/alice,kbwasm/"
_keybasepages.second     TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.untagged  TXT "v=spf1 -all"
_keybasepages.untagged   TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.empty     TXT "kbp="
_keybase_pages.emptytoo  TXT "kbp="
_keybase_pages.emptytoo  TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.two       TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.two       TXT "kbp=/keybase/private/alice,kbwasm/sub"
_keybase_pages.git       TXT "kbp=git@keybase:private/alice,kbwasm/repo"
_keybase_pages.dots      TXT "kbp=/keybase/private/alice,kbwasm/../bob,carol"
_keybase_pages.hidden    TXT "kbp=/keybase/private/alice,kbwasm/.secret"
_keybase_pages.nonsense  TXT "kbp=nonsense"
_keybase_pages.nobody    TXT "kbp=/keybase/private/nobody,atall/"
_keybase_pages.alias     CNAME records.elsewhere
records.elsewhere        TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.large     TXT %s
_keybase_pages.large     TXT "kbp=/keybase/private/alice,kbwasm/"
_terrafirma.own          TXT "tf=/private/alice,kbwasm/sub"
_terrafirma.both         TXT "tf=/public/alice"
_keybase_pages.both      TXT "kbp=/keybase/private/alice,kbwasm/"
_terrafirma.ownmany      TXT "tf=/public/alice"
_terrafirma.ownmany      TXT "tf=/public/bob"
_terrafirma.ownbad       TXT "tf=/example.com"
*.mail                   TXT "v=spf1 -all"
_keybase_pages.www.mail  TXT "kbp=/keybase/private/alice,kbwasm/"
_keybase_pages.mapped    TXT "kbp=/keybase/public/alice"
_keybase_pages.folder    TXT "kbp=/keybase/public/alice"
_keybase_pages.listed    TXT "kbp=/keybase/team/listed"
_keybase_pages.unlisted  TXT "kbp=/keybase/team/listed"
_keybase_pages.a.below   TXT "kbp=/keybase/team/listed"
_keybase_pages.www.denied TXT "kbp=/keybase/public/alice"
_keybase_pages.xdenied   TXT "kbp=/keybase/public/alice"
_keybase_pages.guarded   TXT "kbp=/keybase/team/guarded/shut"
_keybase_pages.192       TXT "kbp=/keybase/public/alice"
""" % " ".join('"%s"' % (c * 250) for c in "abcdefghijklmnop")

MAP = ["mapped.example private/alice,kbwasm/sub", "*.starred.example folder.example", "other.test team/acme.web",
       "lost.test private/no,where"]


def config(port, more=""):
    return "domains:\n  resolvers: 127.0.0.1:%d\n%s" % (port, more)


class Domains(e2e.Case):
    """A server whose resolver is knot, authoritative for "example"."""
    workers = 2
    limits = {"domain_ttl_least_s": 1, "domain_absent_s": 1, "domain_retry_s": 1}

    @classmethod
    def setUpClass(cls):
        cls.names = nameserver.Knot("example.", RECORDS)
        cls.config = config(cls.names.port, "  deny: denied.example\n  map:\n" +
                            "".join("    - \"%s\"\n" % line for line in MAP))
        super().setUpClass()
        cls.server.wait_for("/f", host="folder.example")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.names.close()

    @classmethod
    def prepare(cls, server):
        for site in ("private/alice,kbwasm", "private/alice,kbwasm/sub", "private/alice,kbwasm/sub/dir",
                     "private/alice#kbwasm", "private/Carol,bob", "public/alice", "team/acme.web", "team/listed",
                     "folder.example", "_default"):
            server.put("where.txt", TEXT % site.encode(), site=site)
        server.put("f.wasm", guests.answer("function of alice"), site="private/alice,kbwasm")
        server.put("f.wasm", guests.answer("function of sub"), site="private/alice,kbwasm/sub")
        server.put("f.wasm", guests.answer("function of folder"), site="folder.example")
        server.put("where.txt", b"guarded", site="team/guarded/shut")
        server.put(".kbp_config", b'{"version": "v1", "per_path_configs": {"/": {"anonymous_permissions": "read"}, '
                   b'"/shut": {"anonymous_permissions": ""}}}', site="team/guarded")
        server.put(".domains", b"# who may\nListed.example\n*.below.example\nno domain\n", site="team/listed")

    def where(self, host, path="/where.txt"):
        response = self.server.ask(path, host=host)
        return response.body.decode() if response.status == 200 else response.status

    def test_records_lead_to_folders(self):
        for name, folder in (("plain", "private/alice,kbwasm"), ("bare", "private/alice,kbwasm"),
                             ("swapped", "private/alice,kbwasm"), ("case", "private/alice,kbwasm"),
                             ("spelled", "private/Carol,bob"), ("reads", "private/alice#kbwasm"),
                             ("everybody", "public/alice"), ("crew", "team/acme.web"),
                             ("deep", "private/alice,kbwasm/sub/dir"), ("split", "private/alice,kbwasm"),
                             ("spaces", "private/alice,kbwasm"), ("beside", "private/alice,kbwasm"),
                             ("second", "private/alice,kbwasm"), ("emptytoo", "private/alice,kbwasm"),
                             ("alias", "private/alice,kbwasm"), ("large", "private/alice,kbwasm"),
                             ("own", "private/alice,kbwasm/sub"), ("both", "public/alice"),
                             ("www.mail", "private/alice,kbwasm"), ("listed", "team/listed"),
                             ("a.below", "team/listed"), ("xdenied", "public/alice")):
            self.assertEqual(self.where(name + ".example"), (TEXT % folder.encode()).decode(), name)

    def test_hosts_are_judged_without_case_and_port(self):
        self.assertEqual(self.where("PLAIN.Example:%d" % self.server.port), "served from private/alice,kbwasm")
        self.assertEqual(self.where("plain.example."), "served from private/alice,kbwasm")

    def test_functions_run_below_the_folder_of_the_domain(self):
        for host, text in (("plain.example", b"function of alice"), ("own.example", b"function of sub"),
                           ("mapped.example", b"function of sub")):
            for path in ("/f", "/f.wasm", "/f.wasm/more?x"):
                response = self.server.wait_for(path, host=host, body=text)
                self.assertEqual(response.body, text, (host, path))
        self.assertEqual(self.where("deep.example", "/f.wasm"), 404)
        # Nothing above the folder of the domain.
        self.assertEqual(self.where("own.example", "/../f.wasm"), 400)
        self.assertEqual(self.where("own.example", "/%2e%2e/where.txt"), 400)

    def test_wrong_records_have_their_statuses(self):
        for name, status, word in (("untagged", 503, "kbp="), ("empty", 503, "kbp="), ("two", 412, "more than one"),
                                   ("git", 412, "git"), ("dots", 412, "names no folder"),
                                   ("hidden", 412, "names no folder"), ("nonsense", 412, "names no folder"),
                                   ("ownmany", 412, "more than one"), ("ownbad", 412, "names no folder")):
            response = self.server.ask("/where.txt", host=name + ".example")
            self.assertEqual(response.status, status, (name, response))
            self.assertIn(word, response.body.decode(), name)

    def test_a_folder_that_is_not_there_is_no_site(self):
        self.assertEqual(self.where("nobody.example"), 404)

    def test_without_records_the_default_serves(self):
        self.assertEqual(self.where("unheard.example"), "served from _default")
        self.assertEqual(self.where("localhost"), "served from _default")
        self.assertEqual(self.where("127.0.0.1:80"), "served from _default")

    def test_the_operator_comes_first_and_folders_second(self):
        self.assertEqual(self.where("mapped.example"), "served from private/alice,kbwasm/sub")
        self.assertEqual(self.where("a.b.starred.example"), "served from folder.example")
        self.assertEqual(self.where("other.test"), "served from team/acme.web")
        self.assertEqual(self.where("lost.test"), 404)
        self.assertEqual(self.where("folder.example"), "served from folder.example")

    def test_a_host_never_names_a_folder_of_a_class(self):
        for host in ("private", "private:80", "alice,kbwasm", "private.alice", "private:alice,kbwasm",
                     "private/alice,kbwasm", "team", "public"):
            response = self.server.ask("/where.txt", host=host)
            self.assertNotIn(b"private", response.body, host)
            self.assertNotIn(b"public", response.body, host)
        self.assertEqual(self.where("localhost", "/../private/alice,kbwasm/where.txt"), 400)

    def test_a_list_keeps_other_domains_out(self):
        response = self.server.ask("/where.txt", host="unlisted.example")
        self.assertEqual(response.status, 503)
        self.assertIn(b"does not list", response.body)
        # The list is no file of the site.
        self.assertEqual(self.where("listed.example", "/.domains"), 404)
        # It changes, and counts at once.
        self.server.put(".domains", b"unlisted.example\n", site="team/listed")
        self.server.until(lambda: self.where("unlisted.example") == "served from team/listed", "the new list counts")
        self.assertEqual(self.where("listed.example"), 503)
        os.unlink(self.server.path(".domains", site="team/listed"))
        self.server.until(lambda: self.where("listed.example") == "served from team/listed", "no list lets all in")
        self.server.put(".domains", b"listed.example\n*.below.example\n", site="team/listed")
        self.server.until(lambda: self.where("unlisted.example") == 503, "the list is back")

    def test_a_list_that_is_replaced_opens_nothing(self):
        """Syncthing deletes the old file before the new one gets its name."""
        self.assertEqual(self.where("unlisted.example"), 503)
        for number in range(8):
            os.unlink(self.server.path(".domains", site="team/listed"))
            end = time.monotonic() + 0.05
            while time.monotonic() < end:
                self.assertEqual(self.where("unlisted.example"), 503)
            self.server.put(".domains", b"# %d\nlisted.example\n*.below.example\n" % number, site="team/listed")

    def test_the_operators_list_refuses_without_a_look_up(self):
        response = self.server.ask("/where.txt", host="www.denied.example")
        self.assertEqual(response.status, 503)
        self.assertIn(b"not served here", response.body)

    def test_folders_of_a_class_come_and_go(self):
        self.server.put("where.txt", b"new", site="private/alice,late")
        self.names.replace(RECORDS + '_keybase_pages.late TXT "kbp=/keybase/private/late,alice"\n', 2)
        self.server.until(lambda: self.where("late.example") == "new", "a new folder is served")
        os.rename(self.server.path("", site="private/alice,late"), os.path.join(self.server.root, "private", ".gone"))
        self.server.until(lambda: self.where("late.example") == 404, "a folder that left is not")

    def test_records_change_and_workers_may_die(self):
        self.assertEqual(self.where("changes.example"), "served from public/alice")
        changed = RECORDS.replace('_keybase_pages.changes   TXT "kbp=/keybase/public/alice/"',
                                  '_keybase_pages.changes   TXT "kbp=/keybase/team/acme.web"')
        self.assertNotEqual(changed, RECORDS)
        self.names.replace(changed, 3)
        self.server.until(lambda: self.where("changes.example") == "served from team/acme.web", "the change counts")
        for pid in self.server.worker_pids():
            os.kill(pid, 9)
        self.server.until(lambda: self.answers("changes.example") == "served from team/acme.web", "workers are back")

    def answers(self, host):
        try:
            return self.where(host)
        except OSError:
            return None

    def test_rules_at_the_top_count_below(self):
        self.server.until(lambda: self.where("guarded.example") == 403, "the rules of the folder above count")
        self.assertEqual(self.where("guarded.example", "/.kbp_config"), 403)

    def resolve(self, host):
        result = subprocess.run([e2e.PROGRAM, "resolve", host, "--root", self.server.root, "--cache", self.server.cache,
                                 "--config", self.server.config], capture_output=True, check=False, timeout=60)
        self.assertEqual(result.stderr, b"")
        return result.returncode, result.stdout.decode()

    def test_a_command_tells_the_steps(self):
        for host, code, words in (("plain.example", 0, ["asking 127.0.0.1", "private/alice,kbwasm", "there is none"]),
                                  ("Own.example:80", 0, ["private/alice,kbwasm/sub"]),
                                  ("spelled.example", 0, ["private/Carol,bob"]),
                                  ("two.example", 1, ["more than one", "412"]),
                                  ("nobody.example", 1, ["no such folder"]),
                                  ("unheard.example", 0, ["no record", "_default"]),
                                  ("www.denied.example", 1, ["domains.deny"]),
                                  ("mapped.example", 0, ["mapping", "private/alice,kbwasm/sub"]),
                                  ("folder.example", 0, ["folder    folder.example"]),
                                  ("localhost", 0, ["not asked", "_default"])):
            status, text = self.resolve(host)
            self.assertEqual(status, code, text)
            for word in words:
                self.assertIn(word, text, host)

    def test_the_status_counts_domains(self):
        self.assertEqual(self.where("plain.example"), "served from private/alice,kbwasm")

        def status():
            return subprocess.run([e2e.PROGRAM, "status", "--root", self.server.root, "--cache", self.server.cache],
                                  capture_output=True, check=False, timeout=60).stdout.decode()
        self.server.until(lambda: ", domains: " in status() and " known, " in status(), "the status tells of domains")

    def test_requests_with_bodies_wait_too(self):
        response = self.server.ask("/f", method="POST", body=b"x" * 100000, host="bare.example")
        self.assertEqual((response.status, response.body), (200, b"function of alice"))


class Reload(e2e.Case):
    """The operator's file of mappings."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tf-map-")
        cls.file = os.path.join(cls.folder, "map")
        cls.write("one.test a.example\n")
        cls.config = "domains:\n  dns: no\n  map_file: %s\n" % cls.file
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    @classmethod
    def write(cls, text):
        with open(cls.file + ".new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.rename(cls.file + ".new", cls.file)

    @classmethod
    def prepare(cls, server):
        server.put("where.txt", b"a", site="a.example")
        server.put("where.txt", b"p", site="private/alice")

    def test_it_is_read_again(self):
        self.server.wait_for("/where.txt", host="one.test", body=b"a")
        self.write("# changed\nnonsense\n one.test   /private/ALICE \ntwo.test a.example # the other\n")
        self.server.wait_for("/where.txt", host="one.test", body=b"p")
        self.server.wait_for("/where.txt", host="two.test", body=b"a")
        self.assertIn("'nonsense' is no", self.server.log_text())
        os.rename(self.file, self.file + ".away")
        self.server.until(lambda: "domains.map_file" in self.server.log_text().split("nonsense")[-1], "it is missed")
        self.server.wait_for("/where.txt", host="one.test", body=b"p")
        os.rename(self.file + ".away", self.file)


class Liars(e2e.Case):
    """A resolver that is down, slow, or lies."""
    limits = {"domain_ttl_least_s": 1, "domain_absent_s": 1, "domain_retry_s": 1, "domain_lookup_ms": 800,
              "domain_wait_ms": 2000}

    @classmethod
    def setUpClass(cls):
        cls.is_silent = False
        cls.names = nameserver.Liar(cls.behave)
        cls.config = config(cls.names.port)
        super().setUpClass()
        cls.server.wait_for("/where.txt", host="good.test")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.names.close()

    @classmethod
    def prepare(cls, server):
        server.put("where.txt", b"alice", site="private/alice")
        server.put("where.txt", b"victim", site="private/victim")
        server.put("where.txt", b"folder", site="folder.test")

    @classmethod
    def behave(cls, name, question, query, count):
        if cls.is_silent:
            return []
        if not name.startswith("_keybase_pages."):
            return [nameserver.reply(query, question, rcode=3)]
        record = nameserver.txt_record(b"\xc0\x0c", b"kbp=/keybase/private/alice")
        evil = nameserver.txt_record(b"\xc0\x0c", b"kbp=/keybase/private/victim")
        what = name.split(".")[1]
        if what == "wrongid":
            bad = bytes([query[0] ^ 0x55, query[1]])
            return [nameserver.reply(query, question, [evil], name_id=bad), nameserver.reply(query, question, [record])]
        if what == "wrongquestion":
            other = nameserver.name_bytes("_keybase_pages.other.test") + question[-4:]
            return [nameserver.reply(query, other, [evil]), nameserver.reply(query, question, [record])]
        if what == "wrongowner":
            stray = nameserver.txt_record(nameserver.name_bytes("_keybase_pages.elsewhere.test"),
                                          b"kbp=/keybase/private/victim")
            return [nameserver.reply(query, question, [stray, record])]
        if what == "servfail":
            return [nameserver.reply(query, question, rcode=2)]
        if what == "truncated":
            return [nameserver.reply(query, question, [evil], flags=0x8380)]
        if what == "garbage":
            return [query[:2] + os.urandom(60)]
        if what == "half":
            return [nameserver.reply(query, question, [record])[:-9]]
        if what == "query":
            return [query]
        if what == "shy":
            return [nameserver.reply(query, question, [record])] if count > 1 else []
        return [nameserver.reply(query, question, [record])] if what.startswith("good") else []

    def ask(self, host):
        response = self.server.ask("/where.txt", host=host)
        return response.status, response.body

    def test_what_is_no_answer_is_not_believed(self):
        for name in ("wrongid", "wrongquestion", "wrongowner", "shy"):
            self.assertEqual(self.ask(name + ".test"), (200, b"alice"), name)
        for name in ("servfail", "truncated", "garbage", "half", "query", "silent"):
            status, body = self.ask(name + ".test")
            self.assertEqual(status, 503, (name, body))

    def test_many_requests_are_one_look_up(self):
        before = self.names.counts.get("_keybase_pages.goodcrowd.test", 0)
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.ask("goodcrowd.test"))) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(results), {(200, b"alice")})
        self.assertEqual(self.names.counts["_keybase_pages.goodcrowd.test"] - before, 1)

    def test_names_that_are_none_are_not_looked_up(self):
        before = self.names.total
        for host in ("localhost", "192.0.2.1", "[::1]", "printer.local", "single", "a.internal", "bad_.test",
                     "x" * 64 + ".test", "..test", "_x.test", "folder.test", "a" * 250):
            self.server.ask("/where.txt", host=host)
        self.assertEqual(self.names.total, before)

    def test_a_known_host_waits_for_nobody(self):
        self.assertEqual(self.ask("goodstale.test"), (200, b"alice"))
        type(self).is_silent = True
        try:
            end = time.monotonic() + 4 # its records held for 2 s
            slowest = 0
            while time.monotonic() < end:
                start = time.monotonic()
                self.assertEqual(self.ask("goodstale.test"), (200, b"alice"))
                slowest = max(slowest, time.monotonic() - start)
                time.sleep(0.02)
            sys.stderr.write("slowest of a known host while the resolver is silent: %.1f ms\n" % (slowest * 1000))
            status = self.server.ask("/where.txt", host="goodnew.test")
            self.assertEqual(status.status, 503)
            self.assertIsNotNone(status.header("retry-after"))
        finally:
            type(self).is_silent = False
        self.server.until(lambda: self.ask("goodnew.test") == (200, b"alice"), "the resolver is back")

    def test_the_service_may_die(self):
        self.assertEqual(self.ask("goodkept.test"), (200, b"alice"))
        pid = self.service_pid()
        type(self).is_silent = True
        try:
            os.kill(pid, 9)
            self.assertEqual(self.ask("goodkept.test"), (200, b"alice"))
            self.server.until(lambda: self.service_pid() not in (None, pid), "another one starts")
            self.assertEqual(self.ask("goodkept.test"), (200, b"alice"))
        finally:
            type(self).is_silent = False
        self.server.until(lambda: self.ask("goodafter.test") == (200, b"alice"), "it looks up again")

    def service_pid(self):
        for pid in e2e.descendants(self.server.process.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as stream:
                    words = stream.read().split(b"\0")
            except OSError:
                continue
            if b"_service" in words and words[words.index(b"--index") + 1] == b"2":
                return pid
        return None


class Required(e2e.Case):
    """domains.proof: required, and no _default."""

    @classmethod
    def setUpClass(cls):
        cls.names = nameserver.Liar(lambda name, question, query, count: [nameserver.reply(query, question, [
            nameserver.txt_record(b"\xc0\x0c", b"kbp=/keybase/private/" + name.split(".")[1].encode())]
            if name.startswith("_keybase_pages.") and ".none." not in name else [], rcode=0)])
        cls.config = config(cls.names.port, "  proof: required\n  allow: [\"*.test\"]\n")
        super().setUpClass()
        cls.server.wait_for("/where.txt", host="alice.test")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.names.close()

    @classmethod
    def prepare(cls, server):
        os.rmdir(os.path.join(server.root, "_default"))
        server.put("where.txt", b"alice", site="private/alice")
        server.put(".domains", b"alice.test\n", site="private/alice")
        server.put("where.txt", b"bob", site="private/bob")
        server.put("where.txt", b"carol", site="private/carol")
        server.put(".domains", b"", site="private/carol")

    def test_a_folder_without_a_list_is_not_reached(self):
        self.assertEqual(self.server.ask("/where.txt", host="alice.test").body, b"alice")
        self.assertEqual(self.server.ask("/where.txt", host="bob.test").status, 503)
        self.assertEqual(self.server.ask("/where.txt", host="carol.test").status, 503)
        self.assertEqual(self.server.ask("/where.txt", host="none.test").status, 404)
        before = self.names.total
        self.assertEqual(self.server.ask("/where.txt", host="alice.example").status, 503)
        self.assertEqual(self.names.total, before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
