"""Where functions' connections may lead: not to addresses inside, however they are named, and as the operator's rules
say."""
import e2e
import outbound
import upstream


class Refused(outbound.Outbound):
    """Without a rule nothing on this machine or its networks is reached, however it is spelled."""
    rules = ()
    limits = {"wall_ms": 20000}
    table = {"loop.test": [["127.0.0.1"]], "loop6.test": [["::1"]], "private.test": [["10.1.2.3"]],
             "mapped.test": [["::ffff:127.0.0.1"]], "meta.test": [["169.254.169.254"]],
             "mixed.test": [["127.0.0.1", "::1"]], "zero.test": [["0.0.0.0"]]}

    TARGETS = [
        # what it is
        "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "192.0.2.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1",
        # how else it may be written
        "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0",
        "0x7f.1", "127.0.0.1.", "127.0.0.01", "%31%32%37.0.0.1", "127.0.0.1%2f", "127%E3%80%820%E3%80%820%E3%80%821",
        "xn--127001", "127.0.0.1%00.example.com", "127.0.0.1\\\\@example.com",
        # IPv6, and IPv4 inside it
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]",
        "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]", "[2001::1]", "[2001:db8::1]", "[2001:2::1]", "[100::1]", "[fec0::1]", "[5f00::1]",
        "[3fff::1]",
        # names
        "localhost", "localhost.", "LOCALHOST", "loop.test", "loop6.test", "private.test", "mapped.test", "meta.test",
        "mixed.test", "zero.test", "loop.test.",
        # somebody else before the @
        "example.com@127.0.0.1", "example.com:80@127.0.0.1", "user:password@127.0.0.1", "127.0.0.1#@example.com",
        "127.0.0.1?@example.com",
    ]

    def test_targets(self):
        self.assertGreater(len(self.TARGETS), 40)
        seen = len(self.upstream.seen)
        urls = ["%s://%s/" % (scheme, target) for target in self.TARGETS for scheme in ("http", "https")]
        urls += ["http://%s:%d/ok" % (target, self.upstream.port)
                 for target in ("127.0.0.1", "loop.test", "[::1]", "127.1", "localhost")]
        for at in range(0, len(urls), 30):
            lines = ["get " + url for url in urls[at:at + 30]]
            self.assertEqual(self.do(*lines), "failed\n" * len(lines), lines)
        self.server.until(lambda: any(":%d/ok" % self.upstream.port in line for line in self.log_lines()[-3:]),
                          "the log tells of all", 20)
        for line in self.log_lines():
            self.assertRegex(line, ": (forbidden|malformed|resolve): ")
        self.assertEqual(len(self.upstream.seen), seen)

    def test_ports_and_schemes(self):
        for url in ("http://93.184.215.14:22/", "http://93.184.215.14:8080/", "https://93.184.215.14:6379/",
                    "http://93.184.215.14:0/", "http://93.184.215.14:65536/", "http://93.184.215.14:-1/",
                    "http://93.184.215.14:443x/"):
            self.assertRegex(self.failure("get " + url), "forbidden|malformed")
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/", "dict://127.0.0.1:11211/",
                    "ldap://127.0.0.1/", "http:/127.0.0.1", "http:///127.0.0.1", "//127.0.0.1/", "127.0.0.1", "http://",
                    "http://?x", "http://#x", "http://@/", "javascript:x"):
            self.assertEqual(self.do("get " + url), "failed\n", url)


class Redirected(outbound.Outbound):
    """One port of loopback is allowed: nothing that it redirects to opens another."""
    table = {"loop.test": [["127.0.0.1"]], "flip.test": [["127.0.0.1"], ["127.0.0.1"]]}
    inner = None

    @classmethod
    def setUpClass(cls):
        cls.inner = upstream.Upstream()
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.inner.close()

    @classmethod
    def more_config(cls):
        cls.rules = ("allow _default 127.0.0.1/32:%d" % cls.upstream.port,)
        return ""

    def test_redirects_inside(self):
        self.assert_begins(self.do("get " + self.upstream.url("/ok")), "200")
        for target in (self.inner.url("/ok"), self.inner.url("/ok", "loop.test"), self.inner.url("/ok", "[::1]"),
                       "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/",
                       "//127.0.0.1:%d/" % self.inner.port,
                       "http://2130706433:%d/ok" % self.inner.port, "https://127.0.0.1:%d/" % self.inner.port,
                       "http://0x7f.1:%d/ok" % self.inner.port):
            for status in (301, 302, 303, 307, 308):
                self.failure("get " + self.upstream.url("/redirect?status=%d&to=%s" % (status, target)))
        self.assertEqual(self.inner.seen, [])


class Rebinding(outbound.Outbound):
    """A name whose address changes between two looks. The first is one that is allowed, and dead; the second is not."""
    table = {"flip.test": [["127.0.0.9"], ["127.0.0.1"]], "both.test": [["127.0.0.1", "127.0.0.9"]]}
    limits = {"outbound_connect_ms": 300}

    @classmethod
    def more_config(cls):
        cls.rules = ("allow _default 127.0.0.9:%d" % cls.upstream.port,)
        return ""

    def test_flip(self):
        seen = len(self.upstream.seen)
        self.assertIn(": connect: ", self.failure("get " + self.upstream.url("/ok", "flip.test")))
        for _ in range(3):
            self.assertIn(": forbidden: ", self.failure("get " + self.upstream.url("/ok", "flip.test")))
        # Of several addresses those that are forbidden are not tried, even when the others are dead.
        self.assertIn(": connect: ", self.failure("get " + self.upstream.url("/ok", "both.test")))
        self.assertEqual(len(self.upstream.seen), seen)


class Rules(outbound.Outbound):
    """By site, by name, by method."""
    table = {"api.test": [["127.0.0.1"]], "www.api.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
    rules = ("deny * www.api.test", "allow a.example 127.0.0.1:* GET,HEAD", "allow b.example api.test:*")
    sites = ("a.example", "b.example")

    def test_rules(self):
        ok = self.upstream.url("/ok", "api.test")
        self.assert_begins(self.do("get " + ok, host="a.example"), "200")
        self.assertEqual(self.do("post " + ok + " x", host="a.example"), "failed\n")
        self.assertEqual(self.do("get " + self.upstream.url("/ok", "www.api.test"), host="a.example"), "failed\n")
        self.assertEqual(self.do("ip www.api.test", host="a.example"), "failed\n")
        # A name does not lead inside, whatever its rule says.
        self.assertEqual(self.do("get " + ok, host="b.example"), "failed\n")


class Off(outbound.Outbound):
    @classmethod
    def more_config(cls):
        return "  enabled: no\n"

    def test_off(self):
        self.assertEqual(self.do("get " + self.upstream.url("/ok")), "failed\n")
        self.assertEqual(self.do("ip a.test"), "failed\n")


if __name__ == "__main__":
    e2e.main()
