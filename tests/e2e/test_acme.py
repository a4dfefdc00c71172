#!/usr/bin/env python3
"""Certificates that an authority issues: when a folder appears, by both challenges, renewed under load, in limits."""
import os
import ssl
import stat
import sys
import threading
import time
import unittest

import acme
import tls


def make(case, validity_s=None, workers=2, limits=None, config="", **keys):
    """A server and its authority. The site a.example.com has a page."""
    server = tls.Server(workers=workers, limits=limits, certificates=False, config=config)
    case.addCleanup(server.close)
    authority = acme.Authority(server.port, server.tls_port, validity_s)
    case.addCleanup(authority.close)
    server.until(authority.is_up, "pebble listens")
    server.prefix = acme.trusting(authority.chain)
    keys = {"acme": authority.directory, "retry_first_s": 1, "retry_most_s": 2, **keys}
    with open(server.config, encoding="utf-8") as stream:
        text = stream.read()
    with open(server.config, "w", encoding="utf-8") as stream:
        stream.write(text.replace("tls:\n", "tls:\n" + "".join("  %s: %s\n" % pair for pair in keys.items())))
    server.put("page.txt", b"a page", site="a.example.com")
    return server, authority


class Issuing(unittest.TestCase):
    def check_issued(self, challenge):
        server, authority = make(self, challenge=challenge, email="operator@example.com")
        server.start()
        server.until(lambda: server.serves("a.example.com"), "a.example.com has a certificate")
        self.assertEqual(server.ask_secure("/page.txt", "a.example.com").body, b"a page")
        with server.secure("a.example.com") as connection:
            text = ssl.DER_cert_to_PEM_cert(connection.certificate)
        self.assertIn("BEGIN", text)
        self.assertEqual(server.ask("/page.txt", host="a.example.com").status, 302)
        # A folder that appears while the server runs.
        server.put("page.txt", b"another page", site="www.example.org")
        server.until(lambda: server.serves("www.example.org"), "www.example.org has a certificate")
        self.assertEqual(server.ask_secure("/page.txt", "www.example.org").body, b"another page")
        self.assertEqual(authority.count("/order-plz"), 2)
        row = server.until(lambda: server.reported().get("www.example.org", {}).get("renews") and
                           server.reported()["www.example.org"], "status knows of it")
        self.assertEqual((row["source"], row["hosts"]), ("acme", ["www.example.org"]))
        self.assertLess(row["renews"], row["ends"])
        self.assertIn("Pebble", row["issuer"])
        self.assertNotIn("error", row)
        return server

    def test_http_01(self):
        server = self.check_issued("http-01")
        self.check_modes(server)
        self.check_kept(server)

    def test_tls_alpn_01(self):
        self.check_issued("tls-alpn-01")

    def check_modes(self, server):
        """What lies in the service's folder is nobody else's to read."""
        found = 0
        for folder, folders, names in os.walk(os.path.join(server.cache, "certificates")):
            if "/acme-" not in folder + "/":
                continue
            for name in folders + names:
                status = os.lstat(os.path.join(folder, name))
                self.assertEqual(stat.S_IMODE(status.st_mode) & 0o077, 0, os.path.join(folder, name))
                found += name == "key.pem"
        self.assertEqual(found, 3)  # the account's, and two hosts'

    def check_kept(self, server):
        """After a restart they are there at once, and nothing is asked for again."""
        server.stop()
        server.start()
        server.until(lambda: server.serves("a.example.com"), "the certificate was kept")
        self.assertEqual(server.ask_secure("/page.txt", "www.example.org").body, b"another page")
        # The account is known still.
        server.put("page.txt", b"a third page", site="third.example.org")
        server.until(lambda: server.serves("third.example.org"), "third.example.org has a certificate")

    def test_only_served_hosts_get_one(self):
        """A flood of names that are not served starts nothing; neither does _default, nor a name that none can have."""
        server, authority = make(self, when="asked")
        for site in ("_default", "localhost", "10.0.0.1", "under_score.example.com", "com", "internal-name"):
            server.put("page.txt", b"page", site=site)
        server.start()
        for i in range(300):
            self.assertFalse(server.serves("random-%d.example.com" % i))
            self.assertEqual(server.ask("/page.txt", host="random-%d.example.net" % i).body, b"page")
        for site in ("localhost", "under_score.example.com", "com", "internal-name"):
            self.assertFalse(server.serves(site))
        time.sleep(3)
        self.assertEqual(authority.asked, [])
        self.assertTrue(server.serves("a.example.com"))  # this one is; its first client says so, and waits
        self.assertEqual(authority.count("/order-plz"), 1)

    def test_limits_of_orders(self):
        server, authority = make(self, domain_orders=2)
        for name in ("b", "c", "d"):
            server.put("page.txt", b"page", site=name + ".example.com")
        server.put("page.txt", b"page", site="x.example.co.uk")
        server.put("page.txt", b"page", site="y.other.co.uk")
        server.start()
        for site in ("x.example.co.uk", "y.other.co.uk"):
            server.until(lambda s=site: server.serves(s), "%s has a certificate" % site)
        four = [name + ".example.com" for name in "abcd"]
        server.until(lambda: sum(map(server.serves, four)) == 2, "two of them have one")
        server.until(lambda: server.log_text().count(".example.com waits: tls.domain_orders") == 2, "the others wait")
        self.assertEqual(sum(map(server.serves, four)), 2)
        self.assertEqual(authority.count("/order-plz"), 4)
        rows = server.reported()
        waiting = [rows[name] for name in four if "ends" not in rows[name]]
        self.assertEqual([row["error"] for row in waiting], ["tls.domain_orders is reached"] * 2)
        self.assertTrue(all("next_try" in row for row in waiting))

    def test_authority_that_refuses(self):
        server, authority = make(self)
        authority.refuses = True
        server.start()
        server.until(lambda: "no account at" in server.log_text(), "the failure is told")
        server.until(lambda: "no account there: " in server.status(), "status tells it too")
        self.assertEqual(server.ask("/page.txt", host="a.example.com").body, b"a page")
        authority.refuses = False
        server.until(lambda: server.serves("a.example.com"), "a.example.com has a certificate")


class Renewing(unittest.TestCase):
    def test_renewed_under_load(self):
        server, authority = make(self, validity_s=45, renew_percent=80)
        server.start()
        server.until(lambda: server.serves("a.example.com"), "a.example.com has a certificate")
        failures, seen, stop, done = [], set(), threading.Event(), [0]

        def load():
            while not stop.is_set():
                try:
                    with server.secure("a.example.com") as connection:
                        seen.add(connection.certificate)
                        for _ in range(5):
                            if connection.ask("/page.txt", host="a.example.com").body != b"a page":
                                raise RuntimeError("not the page")
                            done[0] += 1
                except Exception as error:  # whatever it is, it is a failure
                    failures.append(repr(error))
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            server.until(lambda: len(seen) >= 3, "it was renewed twice")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(done[0], 100)


if __name__ == "__main__":
    if acme.missing():
        print("SKIPPED, NOTHING WAS TESTED: this machine lacks " + acme.missing())
        sys.exit(77)
    unittest.main(verbosity=2)
