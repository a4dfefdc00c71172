#!/usr/bin/env python3
"""TLS with certificates that the operator supplies: who gets which, sessions, misdirected requests, reloads."""
import os
import shutil
import signal
import ssl
import threading
import unittest

import e2e
import guests
import tls


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = tls.Server(workers=2)
        folder = cls.server.certificates
        cls.a = tls.make_certificate(folder, "a", ["a.test"])[0]
        cls.b = tls.make_certificate(folder, "b", ["b.test", "alias.test"], layout="folder")[0]
        tls.make_certificate(folder, "wild", ["*.wild.test"], kind="rsa")
        key = tls.make_certificate(folder, "open", ["open.test"])[1]
        os.chmod(key, 0o644)
        for host in ("a.test", "b.test", "x.wild.test", "plain.test", "both.test", "_default"):
            cls.server.put("page.txt", ("page of " + host).encode(), site=host)
        cls.server.put("hello.wasm", guests.answer("hello"), site="a.test")
        cls.server.start()
        cls.server.until(lambda: cls.server.serves("a.test"), "a.test has a certificate")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_page_over_tls(self):
        response = self.server.ask_secure("/page.txt", "a.test")
        self.assertEqual((response.status, response.body), (200, b"page of a.test"))
        self.assertEqual(response.header("strict-transport-security"), "max-age=31536000")
        self.assertEqual(self.server.ask_secure("/no-such-page", "a.test").header("strict-transport-security"),
                         "max-age=31536000")
        self.assertIsNone(self.server.ask("/page.txt", host="a.test").header("strict-transport-security"))

    def test_many_requests_on_one_connection(self):
        with self.server.secure("a.test") as connection:
            for _ in range(50):
                self.assertEqual(connection.ask("/page.txt", host="a.test").body, b"page of a.test")

    def test_name_chooses_certificate(self):
        for name, path in (("a.test", self.a), ("b.test", self.b), ("alias.test", self.b), ("A.TEST", self.a)):
            with self.server.secure(name) as connection:
                self.assertEqual(connection.certificate, tls.fingerprint(path), name)

    def test_wildcard_covers_one_label(self):
        self.assertIsNone(self.server.alert("x.wild.test"))
        self.assertEqual(self.server.ask_secure("/page.txt", "x.wild.test").body, b"page of x.wild.test")
        self.assertEqual(self.server.alert("x.y.wild.test"), "TLSV1_UNRECOGNIZED_NAME")
        self.assertEqual(self.server.alert("wild.test"), "TLSV1_UNRECOGNIZED_NAME")

    def test_unknown_name_is_told_and_shown_nothing(self):
        for name in ("unknown.test", "plain.test", "127.0.0.1", "a.test.unknown.test"):
            self.assertEqual(self.server.alert(name), "TLSV1_UNRECOGNIZED_NAME", name)
        self.assertNotIn("BEGIN CERTIFICATE", self.server.s_client("-noservername"))

    def test_key_that_everybody_may_read_is_not_used(self):
        self.assertEqual(self.server.alert("open.test"), "TLSV1_UNRECOGNIZED_NAME")
        self.assertIn("everybody may read", self.server.log_text())

    def test_status_tells_of_each_certificate(self):
        self.server.until(lambda: len(self.server.reported()) == 4, "all are reported")
        rows = self.server.reported()
        row = rows["b.test"]
        self.assertEqual((row["hosts"], row["source"], row["issuer"]), (["b.test", "alias.test"], "operator", "b.test"))
        self.assertRegex(row["ends"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotIn("renews", row)
        self.assertIn("everybody may read", rows["open.pem"]["error"])
        self.assertNotIn("ends", rows["open.pem"])
        text = self.server.status()
        self.assertRegex(text, r"valid +operator +\S+ +- +b\.test,alias\.test +b\.test\n")
        self.assertRegex(text, r"none +operator +- +- +file open\.pem")
        self.assertIn("error: open.key: everybody may read", text)
        folder = os.path.join(self.server.cache, "certificates")
        report = os.path.join(folder, os.listdir(folder)[0], "report.json")
        self.assertEqual(os.stat(report).st_mode & 0o777, 0o600)
        with open(report, encoding="utf-8") as stream:
            self.assertNotIn("PRIVATE", stream.read())

    def test_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertIsNone(self.server.alert("a.test", context=tls.client_context(version=version)))
        for option in ("-tls1", "-tls1_1"):
            text = self.server.s_client("-servername", "a.test", option, "-cipher", "ALL:@SECLEVEL=0")
            self.assertIn("Cipher is (NONE)", text)
            self.assertIn("alert protocol version", text)

    def test_ciphers(self):
        for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"):
            text = self.server.s_client("-servername", "a.test", "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
            self.assertIn("Cipher is (NONE)", text, cipher)
            self.assertIn("handshake failure", text)
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            text = self.server.s_client("-servername", "a.test", "-tls1_2", "-cipher", cipher)
            self.assertIn("Cipher is " + cipher, text)

    def test_no_renegotiation_and_no_compression(self):
        text = self.server.s_client("-servername", "a.test", "-tls1_2", text="R\n")
        self.assertIn("error", text.split("RENEGOTIATING")[1]) # the connection ends
        self.assertIn("Compression: NONE", text)

    def test_protocols(self):
        with self.server.secure("a.test", alpn=["h2", "http/1.1"]) as connection:
            self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")
        self.assertIn("alert number 120", self.server.s_client("-servername", "a.test", "-alpn", "h2"))
        self.assertEqual(self.server.alert("a.test", alpn=["acme-tls/1"]), "TLSV1_UNRECOGNIZED_NAME")
        with self.server.secure("a.test") as connection:
            connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertTrue(connection.is_closed_within(e2e.PATIENCE))

    def session_of(self, context, name):
        """One that the server gave; with TLS 1.3 it comes after the handshake."""
        with self.server.secure(name, context=context) as connection:
            connection.ask("/page.txt", host=name)
            return connection.socket.session

    def test_session_is_resumed_for_its_host_alone(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls.client_context(version=version)
            session = self.session_of(context, "a.test")
            for _ in range(6): # whichever worker it meets
                with self.server.secure("a.test", context=context, session=session) as connection:
                    self.assertTrue(connection.socket.session_reused, version)
                    self.assertEqual(connection.ask("/page.txt", host="a.test").status, 200)
            for other in ("b.test", "x.wild.test"):
                with self.server.secure(other, context=context, session=session) as connection:
                    self.assertFalse(connection.socket.session_reused, (version, other))
                    self.assertEqual(connection.ask("/page.txt", host=other).body, b"page of " + other.encode())

    def test_tickets_come_with_the_first_answer_alone(self):
        request = "%s /page.txt HTTP/1.1\r\nHost: %s\r\n%s\r\n"
        last = request % ("GET", "a.test", "Connection: close\r\n")
        for texts, tickets in ((last, 1), (request % ("GET", "a.test", "") * 5 + last, 1),
                               (request % ("GET", "b.test", "") + last, 1), # 421
                               (request % ("POST", "a.test", "Content-Length: 2\r\n") + "ab" + last, 1),
                               ("not a request\r\n\r\n", 0)):
            said = self.server.s_client("-servername", "a.test", "-tls1_3", "-ign_eof", "-msg", text=texts)
            self.assertEqual(said.count("NewSessionTicket"), tickets, texts)
            self.assertIn("HTTP/1.1 ", said)
            if tickets:
                self.assertIn("page of a.test", said)
                self.assertLess(said.index("NewSessionTicket"), said.index("HTTP/1.1 "), texts)

    def test_misdirected_request(self):
        with self.server.secure("a.test") as connection:
            self.assertEqual(connection.ask("/page.txt", host="b.test").status, 421)
            self.assertEqual(connection.ask("/page.txt", host="unknown.test").status, 421)
            self.assertEqual(connection.ask("/page.txt", host="not a host").status, 421)
            self.assertEqual(connection.ask("/page.txt", host="a.test:%d" % self.server.tls_port).status, 200)
            self.assertEqual(connection.ask("/page.txt", host="A.test.").status, 200)
        with self.server.secure("alias.test") as connection:  # no folder: _default's, as the others without one
            self.assertEqual(connection.ask("/page.txt", host="alias.test").body, b"page of _default")
            self.assertEqual(connection.ask("/page.txt", host="other.test").body, b"page of _default")
            self.assertEqual(connection.ask("/page.txt", host="b.test").status, 421)

    def test_http_is_redirected_where_there_is_a_certificate(self):
        target = "https://a.test:%d/x/y.html?q=1" % self.server.tls_port
        for host in ("a.test", "a.test:80", "A.TEST."):
            response = self.server.ask("/x/y.html?q=1", host=host)
            self.assertEqual((response.status, response.header("location")), (302, target))
        self.assertEqual(self.server.ask("/page.txt", method="HEAD", host="a.test").status, 302)
        self.assertEqual(self.server.ask("/page.txt", method="POST", host="a.test", body=b"x").status, 400)
        self.assertEqual(self.server.ask("/page.txt", host="plain.test").body, b"page of plain.test")
        self.assertEqual(self.server.ask("/.well-known/acme-challenge/none", host="a.test").status, 302)

    def test_redirect_carries_no_line_of_a_clients(self):
        for path in ("/a%0d%0aX: y", "//evil.test/", "/\\evil.test", "/@evil.test/"):
            response = self.server.raw("GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % path.replace(" ", "%20"))
            self.assertTrue(response.header("location").startswith("https://a.test:%d/" % self.server.tls_port))
            self.assertIsNone(response.header("x"))

    def test_large_answers_and_gone_clients(self):
        self.server.put("large.bin", os.urandom(8 << 20), site="a.test")
        self.server.until(lambda: self.server.ask_secure("/large.bin").status == 200, "the file is there")
        with open(self.server.path("large.bin", "a.test"), "rb") as stream:
            self.assertEqual(self.server.ask_secure("/large.bin").body, stream.read())
        for _ in range(20):
            with self.server.secure("a.test") as connection:
                connection.send("GET /large.bin HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.assertEqual(self.server.ask_secure("/page.txt").status, 200)

    def test_small_answer_is_one_record(self):
        self.server.until(lambda: self.server.ask_secure("/hello.wasm").status == 200, "the function is live")
        with tls.RecordCounter(self.server.tls_port, "a.test") as connection:
            for path, status in (("/page.txt", 200), ("/no-such-page", 404), ("/hello.wasm", 200)):
                for _ in range(3):
                    before = connection.records
                    response = connection.ask(path, host="a.test")
                    self.assertEqual(response.status, status)
                    self.assertGreater(len(response.body), 0)
                    self.assertEqual(connection.records - before, 1, path)
            self.assertEqual(connection.ask("/hello.wasm", host="a.test", method="HEAD").body, b"")
            self.assertEqual(connection.ask("/page.txt", host="a.test").body, b"page of a.test")

    def test_failed_handshakes_do_nothing_to_others(self):
        with self.server.secure("a.test") as connection:
            for _ in range(50):
                self.assertIsNotNone(self.server.alert("random.test"))
                self.assertEqual(connection.ask("/page.txt", host="a.test").status, 200)

    def test_bytes_that_are_no_handshake(self):
        for data in (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 5000,
                     b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"):
            with e2e.Connection(self.server.tls_port) as connection:
                connection.send(data)
                self.assertTrue(connection.is_closed_within(e2e.PATIENCE))
        self.assertEqual(self.server.ask_secure("/page.txt").status, 200)


class Reloading(unittest.TestCase):
    def setUp(self):
        self.server = tls.Server(workers=2)
        self.addCleanup(self.server.close)
        self.path = tls.make_certificate(self.server.certificates, "a", ["a.test"])[0]
        self.server.put("page.txt", b"a page", site="a.test")
        self.server.start()
        self.server.until(lambda: self.server.serves("a.test"), "a.test has a certificate")

    def shows(self, certificate):
        with self.server.secure("a.test") as connection:
            return connection.certificate == certificate

    def test_new_certificates_under_load(self):
        failures, done, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    with self.server.secure("a.test") as connection:
                        for _ in range(5):
                            if connection.ask("/page.txt", host="a.test").status != 200:
                                raise RuntimeError("not 200")
                            done[0] += 1
                except Exception as error:  # whatever it is, it is a failure
                    failures.append(repr(error))
        threads = [threading.Thread(target=load) for _ in range(4)]
        with self.server.secure("a.test") as old:
            for thread in threads:
                thread.start()
            for _ in range(3):
                path = tls.make_certificate(self.server.certificates, "a", ["a.test"])[0]
                self.server.process.send_signal(signal.SIGHUP)
                self.server.until(lambda p=path: self.shows(tls.fingerprint(p)), "the new certificate is shown")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            self.assertGreater(done[0], 0)
            self.assertEqual(old.ask("/page.txt", host="a.test").status, 200) # on the certificate it began with

    def test_pair_that_makes_no_sense_leaves_the_last_good_one(self):
        before = tls.fingerprint(self.path)
        other = os.path.join(self.server.folder, "other")
        os.makedirs(other)
        chain, key = tls.make_certificate(other, "a", ["a.test"])
        shutil.copy(chain, self.path)  # the key comes later
        self.server.until(lambda: "not the certificate's" in self.server.log_text(), "the pair is refused")
        self.assertTrue(self.shows(before))
        shutil.copy(key, self.path.replace(".pem", ".key"))
        self.server.until(lambda: self.shows(tls.fingerprint(chain)), "the pair is whole")

    def test_certificate_that_is_removed_is_no_longer_used(self):
        os.unlink(self.path)
        self.server.until(lambda: self.server.alert("a.test") == "TLSV1_UNRECOGNIZED_NAME", "it is gone")
        self.assertEqual(self.server.ask("/page.txt", host="a.test").status, 200)

    def test_processes_that_die_are_followed(self):
        for command in ("_certificates", "_worker"):
            for pid in self.server.children(command):
                os.kill(pid, signal.SIGKILL)
            self.server.until(lambda: self.server.serves("a.test"), "%s is back" % command)
        path = tls.make_certificate(self.server.certificates, "a", ["a.test"])[0]
        self.server.until(lambda: self.shows(tls.fingerprint(path)), "the new certificate is shown")

    def test_stop_answers_what_is_in_flight(self):
        with self.server.secure("a.test") as connection:
            self.assertEqual(connection.ask("/page.txt", host="a.test").status, 200)
            self.assertEqual(self.server.stop(), 0)


class Configured(unittest.TestCase):
    def test_default_host_and_no_redirect(self):
        server = tls.Server(tls={"default_host": "a.test", "redirect": "no", "hsts_s": "0"})
        self.addCleanup(server.close)
        path = tls.make_certificate(server.certificates, "a", ["a.test"])[0]
        server.put("page.txt", b"a page", site="a.test")
        server.put("page.txt", b"b page", site="b.test")
        server.start()
        server.until(lambda: server.serves("a.test"), "a.test has a certificate")
        with server.secure(None) as connection:
            self.assertEqual(connection.certificate, tls.fingerprint(path))
            answer = connection.ask("/page.txt", host="a.test")
            self.assertEqual(answer.body, b"a page")
            self.assertIsNone(answer.header("strict-transport-security"))
            self.assertEqual(connection.ask("/page.txt", host="b.test").status, 421)
        self.assertEqual(server.alert("b.test"), "TLSV1_UNRECOGNIZED_NAME")
        self.assertEqual(server.ask("/page.txt", host="a.test").body, b"a page")

    def test_what_makes_no_sense_is_refused_at_start(self):
        server = tls.Server(certificates=False)
        self.addCleanup(server.close)
        server.launch()
        self.assertEqual(server.process.wait(e2e.PATIENCE), 2)
        self.assertIn("there will be no certificate", server.log_text())

    def test_keys_below_the_root_are_refused(self):
        server = tls.Server(certificates=False)
        self.addCleanup(server.close)
        with open(server.config, "a", encoding="utf-8") as stream:
            stream.write("  certificates: %s\n" % os.path.join(server.root, "_default"))
        server.launch()
        self.assertEqual(server.process.wait(e2e.PATIENCE), 2)
        self.assertIn("lies in the root", server.log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
