"""What the DNS says of names inside, and who is told."""
import socket
import unittest

import outbound


class Inside(outbound.Outbound):
    """What names inside resolve to is told to nobody who could not go there."""
    rules = ("allow other.example 10.0.0.0/8", "deny _default 93.184.215.15", "deny _default 93.184.215.16 POST",
             "deny _default 93.184.215.17:25")
    table = {"mixed.test": [["10.1.2.3", "93.184.215.14", "127.0.0.1", "169.254.169.254"]],
             "loop.test": [["127.0.0.1", "::1"]], "mapped.test": [["::ffff:10.0.0.1", "2606:2800:21f:cb07::1"]],
             "denied.test": [["93.184.215.15"]], "partly.test": [["93.184.215.16", "93.184.215.17"]]}

    def test_addresses_that_lead_nowhere_are_left_out(self):
        self.assertEqual(self.do("ip mixed.test"), "found 5db8d70e\n")
        self.assertEqual(self.do("ip loop.test", "ip6 loop.test"), "found\nfound\n")
        self.assertEqual(self.do("ip6 mapped.test"), "found 26062800021fcb070000000000000001\n")
        self.assertEqual(self.do("ip denied.test", "ip partly.test"), "found\nfound 5db8d710 5db8d711\n")

    def test_messages_with_such_are_refused(self):
        for name, kind in (("mixed.test", 1), ("loop.test", 1), ("loop.test", 28), ("mapped.test", 28),
                           ("denied.test", 1)):
            self.assertEqual(self.do("raw " + outbound.query_of(name, kind).hex()), "failed\n", name)
        answer = bytes.fromhex(self.do("raw " + outbound.query_of("partly.test").hex()).strip())
        self.assertIn(socket.inet_aton("93.184.215.16"), answer)
        self.server.until(lambda: any("query: forbidden: the answer" in line for line in self.log_lines()),
                          "the log says why", 20)


if __name__ == "__main__":
    unittest.main()
