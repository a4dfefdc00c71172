"""`.kbp_config` from the outside: every rule, and every way to name a thing that it does not name."""
import base64
import hashlib
import json
import os
import threading

import e2e
import guests

SECRET = b"the secret of the site"
# bcrypt of "secret", cost 4.
BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
# Of the same, cost 10: as slow as real ones.
BCRYPT_SLOW = "$2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"


def sha256(password):
    salt = b"0123456789ab"
    return "sha256:%s:%s" % (salt.hex(), hashlib.sha256(salt + password.encode()).hexdigest())


def login(name, password):
    return ("Authorization", "Basic " + base64.b64encode(("%s:%s" % (name, password)).encode()).decode())


def config(paths, users=None, key="per_path_configs", version="v1"):
    return json.dumps({"version": version, "users": users or {}, key: paths}).encode()


READ = {"anonymous_permissions": "read"}
LIST = {"anonymous_permissions": "list"}
BOTH = {"anonymous_permissions": "read,list"}
NONE = {}
USERS = {"alice": BCRYPT, "bob": sha256("bobs")}
ALICE = {"whitelist_additional_permissions": {"alice": "read"}}


class Rules(e2e.Case):
    @classmethod
    def prepare(cls, server):
        put = server.put
        for site in ("open", "none", "noroot", "users", "pages", "broken", "invalid"):
            put("index.html", b"<p>front of " + site.encode(), site=site)
            put("a/file.txt", b"in a", site=site)
            put("a/b/file.txt", b"in b", site=site)
            put("empty/.keep", b"", site=site)
            put("fn.wasm", guests.answer("function"), site=site)
        put(".kbp_config", config({"/": READ, "/a": NONE, "/a/b": BOTH, "/empty": BOTH,
                                   "/cors": dict(READ, **{"Access-Control-Allow-Origin": "*"})}), site="open")
        put("cors/x.txt", b"x", site="open")
        put("cors/fn.wasm", guests.answer("cors"), site="open")
        put("cors/own.wasm", guests.answer("own"), site="open")
        put("cors/own.yaml", b"cors:\n  origins: [https://a.example]\n", site="open")
        put(".kbp_config", config({}), site="none")
        put(".kbp_config", config({"/a": READ}, key="acls"), site="noroot")
        put(".kbp_config", config({"/": dict(ALICE, **READ), "/a": ALICE, "/a/b": NONE, "/fn.wasm": ALICE,
                                   "/empty": {"whitelist_additional_permissions": {"alice": "list", "bob": "read"}},
                                   "/shared": dict(ALICE, **{"Access-Control-Allow-Origin": "*"}),
                                   "/env.wasm": ALICE,
                                   "/bobs": {"whitelist_additional_permissions": {"bob": "read"}}}, USERS),
            site="users")
        put("shared/x.txt", b"x", site="users")
        put("shared/fn.wasm", guests.answer("shared"), site="users")
        for folder in ("shared", "a", "a/b"):
            put(folder + "/own.wasm", guests.answer("own"), site="users")
            put(folder + "/own.yaml", b"cors:\n  origins: [https://a.example]\n", site="users")
        put("env.wasm", guests.environment(), site="users")
        put("open-env.wasm", guests.environment(), site="users")
        put("bobs/file.txt", b"bob's", site="users")
        put(".kbp_config", config({"/": {"anonymous_permissions": "read", "custom_404_not_found": "/errors/lost.html"},
                                   "/a": {"custom_403_forbidden": "errors/no.html"}}), site="pages")
        put("errors/lost.html", b"<p>lost", site="pages")
        put("errors/no.html", b"<p>no", site="pages")
        put(".kbp_config", b"{", site="broken")
        put(".kbp_config", config({"/": READ}, version="v2"), site="invalid")
        put(".kbp_config", config({"/": {"anonymous_permissions": "write"}}), site="badword")
        put("index.html", SECRET, site="badword")

    def ask(self, site, path, *headers, method="GET"):
        return self.server.ask(path, host=site, headers=headers, method=method)

    def test_a_the_most_specific_path_decides_alone(self):
        self.server.wait_for("/fn", host="open")
        for path, status in (("/", 200), ("/a/file.txt", 403), ("/a/", 403), ("/a", 403), ("/a/none", 403),
                             ("/a/b/file.txt", 200), ("/fn.wasm", 200), ("/fn", 200), ("/none", 404)):
            self.assertEqual(self.ask("open", path).status, status, path)
        self.assertIsNone(self.ask("open", "/a/file.txt").header("www-authenticate"))

    def test_without_an_entry_for_the_root_nothing_is_read(self):
        for path in ("/", "/a/file.txt", "/fn.wasm", "/fn", "/none", "/fn.wasm/x", "/none.wasm"):
            self.assertEqual(self.ask("none", path).status, 403, path)
        self.assert_status(self.ask("noroot", "/a/file.txt"), 200)
        self.assert_status(self.ask("noroot", "/"), 403)

    def test_the_file_itself_is_never_served(self):
        for path in ("/.kbp_config", "/.KBP_CONFIG", "/.Kbp_Config", "/%2ekbp_config", "/.kbp%5fconfig",
                     "/.kbp_config/", "/.kbp_config/x", "/.kbp_config.", "/.kbp_config%20", "//.kbp_config",
                     "/./.kbp_config", "/a/../.kbp_config", "/.kbp_config%00", "/.kbp_config?x", "/a/.kbp_config",
                     "/.kbp_config.wasm", "/x/..%2f.kbp_config"):
            for site in ("open", "users"):
                response = self.ask(site, path, login("alice", "secret"))
                self.assertIn(response.status, (400, 403, 404), path)
                self.assertNotIn(b"per_path_configs", response.body)
        self.assert_status(self.ask("open", "/.kbp_config"), 403)
        self.assert_status(self.ask("open", "/.KBP_config"), 403)

    def test_what_makes_no_sense_closes_the_site(self):
        for path in ("/", "/fn.wasm", "/fn", "/none"):
            response = self.ask("broken", path)
            self.assertEqual((response.status, response.body), (500, b""), path)
            self.assert_status(self.ask("invalid", path), 412)
        self.assertIn(b"invalid .kbp_config", self.ask("invalid", "/").body)
        self.assert_status(self.ask("badword", "/"), 412)

    def test_listing(self):
        self.assert_status(self.ask("open", "/empty/"), 200)
        page = self.ask("open", "/a/b/").body
        self.assertIn(b"file.txt", page)
        self.assert_status(self.ask("users", "/empty/"), 401)
        self.assert_status(self.ask("users", "/empty/", login("alice", "secret")), 200)
        self.assertIn(self.ask("users", "/empty/", login("bob", "bobs")).status, (401, 403))

    def test_users(self):
        challenge = self.ask("users", "/a/file.txt")
        self.assert_status(challenge, 401)
        self.assertIn('Basic realm="/a"', challenge.header("www-authenticate"))
        for who, status in ((login("alice", "secret"), 200), (login("alice", "Secret"), 401),
                            (login("alice", ""), 401), (login("bob", "bobs"), 401), (login("nobody", "secret"), 401),
                            (("Authorization", "Basic !!!"), 401), (("Authorization", "Bearer secret"), 401),
                            (("Authorization", "Basic " + "A" * 6000), 401)):
            self.assertEqual(self.ask("users", "/a/file.txt", who).status, status, who)
        self.assert_status(self.ask("users", "/a/file.txt", login("alice", "secret"), login("alice", "secret")), 401)
        self.assert_status(self.ask("users", "/bobs/file.txt", login("bob", "bobs")), 200)
        self.assert_status(self.ask("users", "/bobs/file.txt", login("alice", "secret")), 401)
        # Nobody may: no password helps, and none is asked for.
        self.assert_status(self.ask("users", "/a/b/file.txt", login("alice", "secret")), 403)
        # Everybody may: a wrong password does no harm.
        self.assert_status(self.ask("users", "/index.html", login("alice", "wrong")), 200)

    def test_functions_obey_like_files(self):
        self.server.until(lambda: self.ask("users", "/fn.wasm", login("alice", "secret")).status == 200, "function")
        for path in ("/fn.wasm", "/fn", "/fn.wasm/x", "/fn.wasm/", "/fn%2ewasm", "/%66n", "/fn?x=1"):
            self.assertEqual(self.ask("users", path).status, 401, path)
            response = self.ask("users", path, login("alice", "secret"))
            self.assertEqual((response.status, response.body), (200, b"function"), path)
            self.assertEqual(self.ask("users", path).status, 401, path)
            self.assertEqual(self.ask("users", path, method="POST").status, 401, path)

    def test_what_is_private_is_not_for_shared_caches(self):
        response = self.ask("users", "/a/file.txt", login("alice", "secret"))
        self.assertIn("private", response.header("cache-control"))
        self.assertNotIn("private", self.ask("users", "/index.html").header("cache-control"))
        self.assertIn("no-store", self.ask("users", "/a/file.txt").header("cache-control"))

    def test_origins(self):
        self.server.wait_for("/cors/fn", host="open")
        self.assertEqual(self.ask("open", "/cors/x.txt").header("access-control-allow-origin"), "*")
        self.assertEqual(self.ask("open", "/cors/fn.wasm").header("access-control-allow-origin"), "*")
        self.assertEqual(self.ask("open", "/cors/fn.wasm").header("access-control-allow-origin"), "*")
        self.assertIsNone(self.ask("open", "/").header("access-control-allow-origin"))
        # A function's settings say it better.
        self.server.wait_for("/cors/own", host="open")
        response = self.ask("open", "/cors/own", ("Origin", "https://a.example"))
        self.assertEqual([value for name, value in response.headers if name == "access-control-allow-origin"],
                         ["https://a.example"])
        self.assertIsNone(self.ask("open", "/cors/own", ("Origin", "https://b.example"))
                          .header("access-control-allow-origin"))

    def preflight(self, site, path, origin="https://a.example", *fields):
        return self.ask(site, path, ("Origin", origin), ("Access-Control-Request-Method", "POST"), *fields,
                        method="OPTIONS")

    def test_browsers_ask_without_a_password_whether_they_may(self):
        for name in ("users/shared/own.wasm", "users/a/own.wasm", "users/a/b/own.wasm", "users/shared/fn.wasm"):
            self.server.wait_for_state(name, "live")
        # The rules let all origins: the same is said of what is there and of what is not, and nothing is run.
        told = [self.preflight("users", "/shared/" + name) for name in ("x.txt", "fn.wasm", "fn", "nothing", "")]
        for response in told:
            self.assert_status(response, 204)
            self.assertEqual(response.header("access-control-allow-origin"), "*")
            self.assertIn("Authorization", response.header("access-control-allow-headers"))
            self.assertIsNone(response.header("access-control-allow-credentials"))
            self.assertEqual(response.header("access-control-allow-methods"),
                             told[0].header("access-control-allow-methods"))
        # A function's own settings go before them, in both directions.
        response = self.preflight("users", "/shared/own")
        self.assert_status(response, 204)
        self.assertEqual(response.header("access-control-allow-origin"), "https://a.example")
        self.assertEqual(self.preflight("users", "/shared/own", "https://b.example").status, 401)
        self.assertEqual(self.preflight("users", "/a/own").header("access-control-allow-origin"), "https://a.example")
        # Who may do nothing there is told nothing, and so is whoever asks for something else than a preflight.
        for path in ("/a/file.txt", "/fn.wasm", "/fn"):
            self.assertEqual(self.preflight("users", path).status, 401, path)
        self.assertEqual(self.preflight("users", "/a/b/own").status, 403)
        for fields in ([], [("Origin", "https://a.example")], [("Access-Control-Request-Method", "GET")]):
            self.assertEqual(self.ask("users", "/shared/x.txt", *fields, method="OPTIONS").status, 401, fields)
        self.assertEqual(self.ask("users", "/shared/x.txt", ("Origin", "https://a.example")).status, 401)
        # Open files: the methods that files know.
        response = self.preflight("open", "/cors/x.txt")
        self.assertEqual((response.status, response.header("access-control-allow-methods")), (204, "GET, HEAD"))
        self.assertEqual(self.preflight("open", "/index.html").status, 405)

    def test_a_program_is_told_whose_password_it_was(self):
        def variables(*fields):
            return self.ask("users", "/env", *fields).body.split(b"\0")
        for name in ("users/env.wasm", "users/open-env.wasm"):
            self.server.wait_for_state(name, "live")
        told = variables(login("alice", "secret"), ("Remote-User", "root"), ("X-Remote-User", "root"))
        self.assertIn(b"REMOTE_USER=alice", told)
        self.assertIn(b"AUTH_TYPE=Basic", told)
        self.assertEqual([text for text in told if b"AUTHORIZATION" in text], [])
        self.assert_status(self.ask("users", "/env", login("bob", "bobs")), 401)
        told = self.ask("users", "/open-env", login("alice", "secret"), ("Remote-User", "root")).body.split(b"\0")
        self.assertIn(b"REMOTE_USER=", told)
        self.assertIn(b"AUTH_TYPE=", told)

    def test_pages_of_the_sites_own(self):
        response = self.ask("pages", "/nothing/here")
        self.assertEqual((response.status, response.body), (404, b"<p>lost"))
        self.assertIn("text/html", response.header("content-type"))
        self.assertEqual(self.ask("pages", "/none.wasm").body, b"<p>lost")
        response = self.ask("pages", "/a/file.txt")
        self.assertEqual((response.status, response.body), (403, b"<p>no"))

    def test_z_the_rules_change_while_it_runs(self):
        self.server.put("page.html", b"<p>page", site="changing")
        self.server.wait_for("/page.html", host="changing")
        self.server.put(".kbp_config", config({"/": ALICE}, USERS), site="changing")
        self.server.wait_for("/page.html", 401, host="changing")
        self.server.put(".kbp_config", config({"/": NONE}), site="changing")
        self.server.wait_for("/page.html", 403, host="changing")
        os.unlink(self.server.path(".kbp_config", "changing"))
        self.server.wait_for("/page.html", host="changing")

    def test_no_password_is_written_anywhere(self):
        password = "a-password-that-is-nowhere"
        self.ask("users", "/a/file.txt", login("alice", password))
        self.ask("users", "/a/file.txt", login("alice", "secret"))
        text = self.server.log_text()
        self.assertNotIn(password, text)
        self.assertNotIn(base64.b64encode(b"alice:secret").decode(), text)


class Tricks(e2e.Case):
    """One secret folder, one secret function, and paths that mean to get round the rules."""

    @classmethod
    def prepare(cls, server):
        server.put(".kbp_config", config({"/": BOTH, "/secret": NONE, "/hidden.wasm": NONE, "/short": NONE,
                                          "/half.wasm/admin": NONE, "/dir/index.wasm": NONE, "/page/index.html": NONE,
                                          "/user/admin": NONE}))
        server.put("index.html", b"<p>front")
        server.put("secret/file.txt", SECRET)
        server.put("secret/index.html", SECRET)
        server.put("secret/deep/file.txt", SECRET)
        server.put("secret/fn.wasm", guests.answer(SECRET))
        server.put("hidden.wasm", guests.answer(SECRET))
        server.put("short.wasm", guests.answer(SECRET))
        server.put("half.wasm", guests.answer("half"))
        server.put("dir/index.wasm", guests.answer(SECRET))
        server.put("page/index.html", SECRET)
        server.put("user/[name].wasm", guests.answer("user"))
        server.put("pub/file.txt", b"public")
        os.symlink("../secret/file.txt", server.path("pub/link.txt"))
        os.symlink("../secret", server.path("pub/folder"))
        os.symlink("../pub/file.txt", server.path("pub/good.txt"))
        os.symlink("../.kbp_config", server.path("pub/config.txt"))
        os.symlink("file.txt", server.path("secret/inner.txt"))

    def test_no_spelling_widens_a_permission(self):
        self.server.wait_for("/half")
        self.server.wait_for("/user/x")
        spellings = ["/secret/file.txt", "/secret", "/secret/", "/secret/deep/file.txt", "/secret//file.txt",
                     "//secret/file.txt", "/./secret/file.txt", "/pub/../secret/file.txt", "/secret/./file.txt",
                     "/%73ecret/file.txt", "/secre%74/file.txt", "/secret%2ffile.txt", "/secret%2Ffile.txt",
                     "/secret%5cfile.txt", "/secret\\file.txt", "/SECRET/file.txt", "/Secret/file.txt",
                     "/secret/FILE.TXT", "/secret/file.txt/", "/secret/file.txt/x", "/secret/file.txt%00",
                     "/secret/file.txt%00.html", "/secret%00/file.txt", "/secret%20/file.txt", "/secret./file.txt",
                     "/secret;/file.txt", "/secret/file.txt;x", "/%2e/secret/file.txt", "/pub/%2e%2e/secret/file.txt",
                     "/pub/..%2fsecret/file.txt", "/%252e%252e/secret/file.txt", "/secret%252ffile.txt",
                     "/secret/fn.wasm", "/secret/fn", "/secret/fn.wasm/x", "/secret/fn.wasm/../../pub/file.txt",
                     "/secret/fn/", "/secret/none", "/secret/none.wasm", "/hidden.wasm", "/hidden", "/hidden.wasm/",
                     "/hidden.wasm/x", "/hidden%2ewasm", "/HIDDEN.wasm", "/Hidden", "/%68idden", "/short.wasm",
                     "/short", "/short.wasm/x", "/short%2ewasm", "/dir/", "/dir/index", "/dir/index.wasm",
                     "/dir/index.wasm/x", "/page/", "/page/index.html", "/pub/link.txt", "/pub/folder/file.txt",
                     "/pub/folder/", "/pub/folder", "/pub/folder/index.html", "/pub/config.txt", "/secret/inner.txt",
                     "/\u017fecret/file.txt", "/secret/file.txt?", "/secret/file.txt?x=/pub/file.txt",
                     "/secret/file.txt#", "http://localhost/secret/file.txt"]
        for path in spellings:
            for method in ("GET", "HEAD", "POST"):
                raw = path.encode("utf-8").decode("latin-1")
                response = self.server.ask(raw, method=method)
                self.assertNotIn(SECRET, response.body, (method, path))
                self.assertIn(response.status, (400, 401, 403, 404, 405, 301), (method, path, response))
                if response.status == 301:
                    self.assertNotIn("secret", response.header("location"), path)
                self.assertIsNone(response.header("etag"), path)

    def test_conditions_and_ranges_tell_nothing_either(self):
        for fields in ([("Range", "bytes=0-3")], [("If-None-Match", "*")], [("Accept-Encoding", "gzip, br, zstd")],
                       [("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")]):
            self.assertEqual(self.server.ask("/secret/file.txt", headers=fields).status, 403, fields)

    def test_a_refusal_does_not_tell_whether_there_is_anything(self):
        there, nothing = self.server.ask("/secret/file.txt"), self.server.ask("/secret/nothing.txt")
        self.assertEqual((there.status, there.body), (nothing.status, nothing.body))
        there, nothing = self.server.ask("/secret/fn.wasm"), self.server.ask("/secret/nothing.wasm")
        self.assertEqual((there.status, there.body), (nothing.status, nothing.body))

    def test_what_follows_a_function(self):
        self.server.wait_for("/half")
        for path, status in (("/half.wasm", 200), ("/half.wasm/", 200), ("/half.wasm/x", 200),
                             ("/half.wasm/admin", 403), ("/half.wasm/admin/x", 403), ("/half.wasm/ADMIN", 403),
                             ("/half.wasm/%61dmin", 403), ("/half.wasm//admin", 400), ("/half.wasm/./admin", 400),
                             ("/half.wasm/x/../admin", 400), ("/half.wasm/x%2f..%2fadmin", 400),
                             ("/half.wasm/%2561dmin", 400)):
            self.assertEqual(self.server.ask(path).status, status, path)

    def test_parameters(self):
        self.server.wait_for("/user/x")
        for path in ("/user/admin", "/user/ADMIN", "/user/%61dmin"):
            self.assert_status(self.server.ask(path), 403)
            self.assert_status(self.server.ask(path, method="POST"), 403)

    def test_links_to_what_may_be_read_work(self):
        self.assertEqual(self.server.ask("/pub/good.txt").body, b"public")


class Passwords(e2e.Case):
    """Slow hashes: bounded, off the loop, the same for those who are not there."""
    limits = {"password_checks": 6, "site_password_checks": 3, "client_password_checks": 3}

    @classmethod
    def prepare(cls, server):
        server.put(".kbp_config", config({"/": ALICE}, {"alice": BCRYPT_SLOW}), site="slow")
        server.put("x.txt", b"slow", site="slow")
        server.put("x.txt", b"quick", site="quick")

    def test_a_flood_is_bounded_and_others_go_on(self):
        statuses, lock = [], threading.Lock()

        def guess(number):
            status = self.server.ask("/x.txt", host="slow", headers=[login("alice", "guess %d" % number)]).status
            with lock:
                statuses.append(status)

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            self.assert_status(self.server.ask("/x.txt", host="quick"), 200)
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 30)
        self.assertEqual(set(statuses) - {401, 429, 503}, set())
        self.assertIn(429, statuses)
        self.assertIn(401, statuses)

    def test_clients_that_leave_do_no_harm(self):
        for number in range(10):
            with e2e.Connection(self.server.port) as connection:
                name, value = login("alice", "left %d" % number)
                connection.send("GET /x.txt HTTP/1.1\r\nHost: slow\r\n%s: %s\r\n\r\n" % (name, value))
        self.server.until(lambda: self.server.ask("/x.txt", host="slow",
                                                  headers=[login("alice", "wrong")]).status == 401, "401")


if __name__ == "__main__":
    e2e.main()
