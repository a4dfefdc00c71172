"""Caches shared through a registry: a real one, one that wants passwords, one that dies, and one that lies.
Usage: test_registry.py [crane|distribution]

A word names another registry than Debian's, made of Go's modules where there are Go and a network (else: skipped)."""
import fcntl
import glob
import hashlib
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import unittest

import guests
import registry
import tls
from caches import cache, hide_compilers_and_network, prebuilt, run, tree
from e2e import Server, in_child


def big(seed, size=600000):
    """A function that no compression makes smaller."""
    data = random.Random(seed).randbytes(size)
    return guests.module(guests.wat(["body"], "(drop (call $body (i32.const 0) (i32.const 4096) (i32.const 16)))",
                                    '(data (i32.const 4096) "%s")' % guests.string(data), pages=32)), data[:16]


def leb(number):
    """As WebAssembly writes numbers: both signs alike while the sixth bit of the last byte is 0."""
    text = b""
    while number > 63:
        text += bytes([number & 127 | 128])
        number >>= 7
    return text + bytes([number])


def huge(seed, size):
    """The same as big(), too large for the assembler: its memory and data are put in afterwards."""
    data = random.Random(seed).randbytes(size)
    module, result, at = big(1, 16)[0], b"", 8
    memory = leb(1) + b"\0" + leb(size // 65536 + 2)
    segment = leb(1) + b"\0\x41" + leb(4096) + b"\x0b" + leb(size) + data
    while at < len(module):
        end = at + 2 + module[at + 1]  # all sections of this one are short
        body = {5: memory, 11: segment}.get(module[at], module[at + 2:end])
        result += bytes([module[at]]) + leb(len(body)) + body
        at = end
    return module[:8] + result


def without_tmp(folder):
    return {path: data for path, data in tree(folder).items() if not path.startswith("tmp/") and path != "lock"}


KINDS = {"": registry.Registry, "crane": registry.Crane, "distribution": registry.Distribution}
KIND = KINDS[sys.argv[1] if len(sys.argv) > 1 else ""]
wants_users_and_tls = unittest.skipUnless(KIND.HAS_USERS_AND_TLS, "has neither passwords nor encryption")


class Case(unittest.TestCase):
    users = None
    jobs = "8"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tf-e2e-registry-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.modules = {"f%d.wasm" % i: guests.answer("this is %d" % i) for i in range(3)}
        cls.modules["big.wasm"], cls.big_answer = big(1)
        cls.built, cls.key = prebuilt(cls.folder, cls.modules)
        cls.real = KIND(cls.users)
        cls.addClassCleanup(cls.real.close)
        cls.real.start()

    def setUp(self):
        self.empty = tempfile.mkdtemp(prefix="empty-", dir=self.folder)
        run("init", "--cache", self.empty)
        cache(self.empty, "trust", self.key)

    def front(self):
        front = registry.Front(self.real)
        self.addCleanup(front.close)
        return front

    def push(self, url, check=True, **more):
        return cache(self.built, "push", url, "--plain-http", "--jobs", self.jobs, check=check, **more)

    def pull(self, url, check=True, **more):
        return cache(self.empty, "pull", url, "--plain-http", "--jobs", self.jobs, check=check, **more)

    def start_again(self, url):
        """Some forget manifests when they end: what they were sent is sent again."""
        self.real.start()
        if KIND.FORGETS:
            self.assertIn(" 0 bytes sent", self.push(url).stdout)

    def assert_same(self):
        for part in ("hot", "store", "index"):
            self.assertEqual(tree(os.path.join(self.built, part)), tree(os.path.join(self.empty, part)))
        cache(self.empty, "verify")


class Sharing(Case):
    def test_there_and_back(self):
        url = self.real.url("a/fleet:v1")
        # Some keep blobs for all repositories together.
        self.assertRegex(self.push(url).stdout, "4 artifacts, [04] of them there already; [0-9]")
        self.assertIn("4 of them there already; 0 bytes", self.push(url).stdout)
        front = self.front()
        self.assertRegex(self.pull(front.url("a/fleet:v1")).stdout, "4 artifacts, 0 of them known already; [1-9]")
        self.assert_same()
        del front.asked[:]
        self.assertIn("4 of them known already; 0 bytes", self.pull(front.url("a/fleet:v1")).stdout)
        self.assertEqual(front.count("GET", "/blobs/"), 0)
        key = sorted(os.path.basename(path)[:64] for path in glob.glob(self.built + "/store/*/*"))[0]
        one = cache(self.built, "push", self.real.url("a/fleet:one"), key, "--plain-http")
        self.assertIn("1 artifacts", one.stdout)
        result = self.pull(self.real.url("a/fleet:none"), check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("does not have", result.stderr)

    def test_nothing_is_taken_from_strangers(self):
        url = self.real.url("strangers")
        self.push(url)
        cache(self.empty, "revoke-key", self.key)
        before = without_tmp(self.empty)
        result = self.pull(url, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not trusted", result.stderr)
        self.assertEqual(before, without_tmp(self.empty))

    def test_one_that_is_revoked_keeps_nobody_from_the_others(self):
        url = self.real.url("revoked")
        self.push(url)
        key = sorted(os.path.basename(path)[:64] for path in glob.glob(self.built + "/store/*/*"))[1]
        cache(self.empty, "revoke", key)
        result = self.pull(url, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("revoked", result.stderr)
        self.assertEqual(len(glob.glob(self.empty + "/store/*/*")), 3)
        cache(self.empty, "verify")

    def test_a_server_that_cannot_compile(self):
        """In a child process, as its namespaces are its own."""
        if os.geteuid() != 0:
            self.skipTest("needs root to hide compilers and network")
        self.push(self.real.url("shipped"))
        self.real.kill()
        self.addCleanup(self.real.start)
        in_child(self, lambda: hide_compilers_and_network() and self.serve_without_compiler())

    def serve_without_compiler(self):
        self.start_again(self.real.url("shipped"))
        with Server(config="watcher: {builds: 'no', rescan_s: 1}\n") as server:
            cache(server.cache, "trust", self.key)
            for name, data in self.modules.items():
                server.put(name, data)
            server.wait_for("/f0", status=502)
            cache(server.cache, "pull", self.real.url("shipped"), "--plain-http")
            for i in range(3):
                self.assertEqual(server.wait_for("/f%d" % i).body, b"this is %d" % i)
            self.assertEqual(server.wait_for("/big").body, self.big_answer)
            self.empty = server.cache
            self.assert_same()

    def test_several_at_once(self):
        """No blob comes before all are asked for."""
        self.push(self.real.url("several"))
        front = self.front()
        all_there = threading.Barrier(4)

        def wait(handler):
            if handler.command == "GET" and "/blobs/" in handler.path:
                all_there.wait(timeout=60)
            return False

        front.hook = wait
        self.pull(front.url("several"))
        self.assert_same()
        for wrong in ("0", "65", "-1", "x", ""):
            refused = cache(self.empty, "pull", front.url("several"), "--jobs", wrong, check=False)
            self.assertEqual(refused.returncode, 2, wrong)

    def test_killed_in_the_middle(self):
        self.jobs = "1"
        self.push(self.real.url("killed"))
        front = self.front()
        seen, size, lock = [], [], threading.Lock()

        def die(handler, whole):
            if "/blobs/" in handler.path and handler.command == "GET":
                with lock:
                    seen.append(handler.path)
                if len(whole[2]) > 500000:
                    size.append(len(whole[2]))
                    handler.say(whole[0], whole[1], whole[2][:300000], length=len(whole[2]))
                    self.real.kill()
                    raise ConnectionError("dead")

        front.change = die
        result = self.pull(front.url("killed"), check=False)
        self.assertEqual(result.returncode, 1)
        cache(self.empty, "verify")
        came = len(glob.glob(self.empty + "/store/*/*"))
        self.assertEqual(came, len(set(seen)) - 1)
        self.start_again(self.real.url("killed"))
        front.change = None
        del front.asked[:]
        self.pull(front.url("killed"))
        self.assert_same()
        self.assertEqual(front.count("GET", "/blobs/"), 4 - came)
        resumed = [asked for asked in front.asked if asked.path == seen[-1]]
        self.assertEqual([asked.range for asked in resumed], ["bytes=300000-%d" % (size[0] - 1)])
        self.assertEqual(os.listdir(self.empty + "/tmp"), [])

    def test_a_registry_without_ranges(self):
        url = self.real.url("whole")
        self.push(url)
        front = self.front()
        broken = []

        def tear(handler, whole):
            if handler.command == "GET" and len(whole[2]) > 500000 and not broken:
                broken.append(handler.path)
                handler.say(whole[0], whole[1], whole[2][:300000], length=len(whole[2]))
                raise ConnectionError

        front.change = tear
        front.hook = lambda handler: bool(handler.headers.get("Range")) and (handler.say(416) or True)
        self.pull(front.url("whole"))
        self.assert_same()
        self.assertEqual(front.count("GET", broken[0]), 3)

    @classmethod
    def huge(cls):
        """A cache whose one artifact is a blob of three pieces."""
        source, folder = os.path.join(cls.folder, "huge.wasm"), os.path.join(cls.folder, "huge")
        if not os.path.exists(folder):
            with open(source, "wb") as stream:
                stream.write(huge(2, 35 << 20))
            run("build", source, "--cache", folder, "--set", "limits.module_bytes=64M")
        return folder

    def test_an_upload_that_is_forgotten(self):
        """As by a registry that was started anew meanwhile: all is sent again."""
        front = self.front()
        forgotten = []

        def forget(handler):
            is_second = handler.command == "PATCH" and front.count("PATCH", "") == 2
            if is_second or handler.path in forgotten:
                forgotten.append(handler.path)
                handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            elif handler.command != "HEAD":  # what other tests sent is not known either
                return False
            handler.say(404)
            return True

        front.hook = forget
        self.assertIn("1 artifacts", cache(self.huge(), "push", front.url("forgotten"), "--plain-http").stdout)
        self.assertEqual(front.count("PATCH", "/uploads/"), 2 + 3)
        self.assertGreater(len(forgotten), 1)

    def test_an_upload_that_breaks(self):
        """A blob of more than one piece: the connection breaks in the second, which alone is sent again."""
        folder = self.huge()
        front = self.front()
        broken, torn = [], []

        def tear(handler):
            if handler.command == "PUT" and "/blobs/" in handler.path and not torn:
                torn.append(handler.path)
                return True
            if handler.command == "PATCH" and front.count("PATCH", "") == 2 and not broken:
                broken.append(handler.headers["Content-Range"])
                handler.rfile.read(100000)
                return True  # closes
            return False

        front.hook = tear
        url = front.url("huge")
        self.assertIn("1 artifacts", cache(folder, "push", url, "--plain-http").stdout)
        self.assertEqual(broken, ["16777216-33554431"])
        # Where the registry does not say how far it got, all three are.
        self.assertEqual(front.count("PATCH", "/uploads/"), 4 if KIND is not registry.Crane else 5)
        self.assertEqual(front.count("GET", "/uploads/"), 1)
        with open(os.path.join(self.empty, "trust/public/policy"), "a", encoding="ascii") as stream:
            stream.write("trust %s\n" % cache(folder, "key").stdout.strip())
        self.pull(self.real.url("huge"))
        self.assertEqual(tree(folder + "/hot"), tree(self.empty + "/hot"))


@wants_users_and_tls
class Passwords(Case):
    users = {"fleet": "pass:word"}

    def environment(self, user, password):
        return {**os.environ, "TERRAFIRMA_REGISTRY_USER": user, "TERRAFIRMA_REGISTRY_PASSWORD": password}

    def test_basic(self):
        url = self.real.url("basic")
        self.assertIn("wants a user and a password", self.push(url, check=False).stderr)
        result = self.push(url, check=False, env=self.environment("fleet", "wrong"))
        self.assertIn("does not take the user and password", result.stderr)
        self.push(url, env=self.environment("fleet", "pass:word"))
        path = registry.auth_file(self.folder + "/auth.json", "127.0.0.1:%d" % self.real.port, "fleet", "pass:word")
        cache(self.empty, "pull", url, "--plain-http", "--auth-file", path)
        self.assert_same()
        os.chmod(path, 0o604)
        result = cache(self.empty, "pull", url, "--plain-http", "--auth-file", path, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("chmod o=", result.stderr)

    def test_no_password_goes_unencrypted_to_others(self):
        result = self.pull("oci://registry.invalid:5000/name", check=False, env=self.environment("fleet", "pass:word"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("without encryption", result.stderr)


class Tokens(Case):
    jobs = "1"  # each connection asks for a token of its own

    def setUp(self):
        super().setUp()
        self.tokens = registry.Tokens("fleet", "pass:word")
        self.addCleanup(self.tokens.close)
        self.guarded = self.front()
        self.environment = {**os.environ, "TERRAFIRMA_REGISTRY_USER": "fleet",
                            "TERRAFIRMA_REGISTRY_PASSWORD": "pass:word"}

    def test_bearer(self):
        self.guarded.hook = self.tokens.guard()
        self.push(self.guarded.url("bearer"), env=self.environment)
        self.assertEqual(self.tokens.scopes[0], (["the, registry"], ["repository:bearer:pull,push"]))
        self.assertEqual(self.tokens.given, 1)
        self.pull(self.guarded.url("bearer"), env=self.environment)
        self.assertEqual(self.tokens.scopes[-1], (["the, registry"], ["repository:bearer:pull"]))
        self.assert_same()
        for asked in self.guarded.asked:
            self.assertFalse((asked.authorization or "").startswith("Basic"))

    def test_a_token_that_runs_out(self):
        guard = self.tokens.guard()

        def judge(handler):
            if len(self.guarded.asked) % 5 == 0:
                self.tokens.valid = set()
            return guard(handler)

        self.guarded.hook = judge
        self.push(self.guarded.url("expiring"), env=self.environment)
        self.assertGreater(self.tokens.given, 2)

    def test_the_password_is_not_told_to_other_hosts(self):
        self.guarded.hook = self.tokens.guard("localhost")
        result = self.push(self.guarded.url("elsewhere"), check=False, env=self.environment)
        self.assertEqual(result.returncode, 1)
        self.assertIn("registry.token_host", result.stderr)
        self.assertEqual(self.tokens.asked, [])
        self.push(self.guarded.url("elsewhere") + ":named", env={**self.environment}, check=False)
        self.assertEqual(self.tokens.asked, [])
        cache(self.built, "push", self.guarded.url("elsewhere"), "--plain-http", "--jobs", "1", "--set",
              "registry.token_host=localhost", env=self.environment)
        self.assertEqual(self.tokens.given, 1)


class Lies(Case):
    """Each leaves the cache as it was, and ends with a reason."""
    jobs = "1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cache(cls.built, "push", cls.real.url("lies"), "--plain-http")

    def assert_refused(self, front, *reasons):
        before = without_tmp(self.empty)
        result = self.pull(front.url("lies"), check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertTrue(any(reason in result.stderr for reason in reasons), result.stderr)
        self.assertEqual(before, without_tmp(self.empty))

    def lie(self, change, *reasons, part="/blobs/"):
        front = self.front()

        def on_get(handler, whole):
            if handler.command == "GET" and part in handler.path:
                change(handler, whole)

        front.change = on_get
        self.assert_refused(front, *reasons)
        return front

    def test_other_bytes(self):
        def change(_, whole):
            whole[2] = whole[2][:-1] + bytes([whole[2][-1] ^ 1])
        self.lie(change, "another hash")

    def test_too_many_bytes(self):
        def change(_, whole):
            whole[2] += b"more"
        self.lie(change, "longer")

    def test_no_end(self):
        def change(handler, whole):
            handler.say(200, whole[1], b"", length=False)
            while True:
                handler.wfile.write(bytes(1 << 16))
        self.lie(change, "longer")
        self.lie(change, "longer", part="/manifests/")
        self.assertLess(max(os.path.getsize(path) for path in glob.glob(self.empty + "/**", recursive=True)), 5 << 20)

    def test_too_few_bytes(self):
        def change(handler, whole):
            handler.say(200, whole[1], whole[2][:100])
            raise ConnectionError
        self.lie(change, "bytes of a blob")

    def test_another_range(self):
        def change(handler, whole):
            handler.say(206, [("Content-Range", "bytes 7-%d/%d" % (len(whole[2]), len(whole[2])))], whole[2])
            raise ConnectionError
        self.lie(change, "writ", "Failed")

    def test_other_manifests(self):
        def change(_, whole):
            whole[2] = whole[2] + b" "
        self.lie(change, "another hash", part="/manifests/sha256:")

    def test_manifests_that_make_no_sense(self):
        def put(text):
            def change(_, whole):
                whole[2] = text
            return change
        index = {"schemaVersion": 2, "artifactType": "application/vnd.terrafirma.cache.v1"}
        page = {"mediaType": "application/vnd.oci.image.index.v1+json", "size": 10}
        zeros = "sha256:" + "0" * 64
        for text in (b"", b"{", b"[]", b"\xff", b"[" * 100000, b'{"a":' * 100000, b"{}",
                     json.dumps({**index, "manifests": {}}).encode(),
                     json.dumps({**index, "manifests": [1]}).encode(),
                     json.dumps({**index, "manifests": [{**page, "digest": "sha256:" + "../" * 21 + "a"}]}).encode(),
                     json.dumps({**index, "manifests": [{**page, "digest": zeros, "size": -1}]}).encode(),
                     json.dumps({**index, "manifests": [{**page, "digest": "md5:" + "0" * 64}]}).encode()):
            self.lie(put(text), "the registry's manifest is", part="/manifests/latest")
        many = [{**page, "digest": "sha256:" + "0" * 64}] * 300
        self.lie(put(json.dumps({**index, "manifests": many}).encode()), "300 entries", part="/manifests/latest")

    def test_a_blob_that_is_said_to_be_huge(self):
        front = self.front()
        parcel = {"schemaVersion": 2, "artifactType": "application/vnd.terrafirma.artifact.v1",
                  "annotations": {"vnd.terrafirma.key": "0" * 64, "vnd.terrafirma.entries": "0" * 32},
                  "layers": [{"mediaType": "application/vnd.terrafirma.bundle.v1+zstd", "size": 1 << 40,
                              "digest": "sha256:" + "0" * 64}]}
        body = json.dumps(parcel).encode()
        page = {"schemaVersion": 2, "artifactType": "application/vnd.terrafirma.cache.page.v1", "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": len(body),
             "digest": "sha256:" + hashlib.sha256(body).hexdigest(), "annotations": parcel["annotations"]}]}
        pages = json.dumps(page).encode()
        index = {"schemaVersion": 2, "artifactType": "application/vnd.terrafirma.cache.v1", "manifests": [
            {"mediaType": "application/vnd.oci.image.index.v1+json", "size": len(pages),
             "digest": "sha256:" + hashlib.sha256(pages).hexdigest()}]}
        texts = {"latest": json.dumps(index).encode(), hashlib.sha256(pages).hexdigest(): pages,
                 hashlib.sha256(body).hexdigest(): body}
        front.hook = lambda handler: handler.say(200, [], texts[handler.path[-64:].split("/")[-1]]) or True
        self.assert_refused(front, "1099511627776 bytes")

    def test_headers_without_end(self):
        def change(handler, _):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                handler.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        self.lie(change, "longer")

    def test_what_breaks_does_not_fill_the_disk(self):
        def tear(handler, whole):
            handler.say(whole[0], whole[1], whole[2][:-1], length=len(whole[2]))
            raise ConnectionError

        others = [self.empty + "/tmp/pull-" + digit * 64 for digit in "123"]
        for path in others:
            with open(path, "wb") as stream:
                stream.truncate(600 << 20)
        with open(others[0], "rb") as used:  # by another command
            fcntl.flock(used, fcntl.LOCK_EX)
            front = self.lie(tear, "bytes", "closed", "transfer")
        wanted = {asked.path[-64:] for asked in front.asked if "/blobs/" in asked.path}
        self.assertEqual(set(os.listdir(self.empty + "/tmp")), {"pull-" + "1" * 64, *("pull-" + hex for hex in wanted)})

    def test_errors(self):
        def change(_, whole):
            whole[0], whole[2] = 500, b"x" * 100
        front = self.lie(change, "answers 500")
        self.assertEqual(front.count("GET", "/blobs/"), 4)

    def test_circles(self):
        def change(handler, whole):
            whole[:] = 307, [("Location", handler.path)], b""
        front = self.lie(change, "in circles")
        self.assertEqual(front.count("GET", "/blobs/"), 6)

    def test_places_that_are_not_gone_to(self):
        for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:word@127.0.0.1/x", "//", ""):
            def change(_, whole, place=place):
                whole[:] = 302, [("Location", place)], b""
            self.lie(change, "not gone to", "Failed", "connect")

    def test_credentials_stay_at_home(self):
        """A blob that lies elsewhere is fetched from there, without a word of who asks."""
        elsewhere = self.front()
        front = self.front()
        tokens = registry.Tokens("fleet", "pass:word")
        self.addCleanup(tokens.close)
        guard = tokens.guard()

        def hook(handler):
            if handler.command == "GET" and "/blobs/" in handler.path and "Bearer" in (
                    handler.headers.get("Authorization") or ""):
                handler.say(307, [("Location", "http://localhost:%d%s" % (elsewhere.port, handler.path))])
                return True
            return guard(handler)

        front.hook = hook
        self.pull(front.url("lies"), env={**os.environ, "TERRAFIRMA_REGISTRY_USER": "fleet",
                                          "TERRAFIRMA_REGISTRY_PASSWORD": "pass:word"})
        self.assert_same()
        self.assertEqual(len(elsewhere.asked), 4)
        self.assertEqual({asked.authorization for asked in elsewhere.asked}, {None})

    def test_a_password_is_not_asked_for_elsewhere(self):
        elsewhere, front = self.front(), self.front()
        elsewhere.hook = lambda handler: handler.say(401, [("WWW-Authenticate", 'Basic realm="x"')]) or True

        def change(handler, whole):
            if "/blobs/" in handler.path:
                whole[:] = 307, [("Location", "http://localhost:%d/" % elsewhere.port)], b""

        front.change = change
        result = self.pull(front.url("lies"), check=False, env={
            **os.environ, "TERRAFIRMA_REGISTRY_USER": "fleet", "TERRAFIRMA_REGISTRY_PASSWORD": "pass:word"})
        self.assertIn("asks for a password", result.stderr)
        self.assertEqual({asked.authorization for asked in elsewhere.asked}, {None})


@wants_users_and_tls
class Encrypted(unittest.TestCase):
    def test_certificates_are_verified(self):
        with tempfile.TemporaryDirectory(prefix="tf-e2e-registry-") as folder:
            tls.make_certificate(folder, "good", ["localhost"])
            real = KIND(certificate=os.path.join(folder, "good"))
            self.addCleanup(real.close)
            real.start()
            run("init", "--cache", folder + "/c")
            good, bad = "oci://localhost:%d/x" % real.port, "oci://127.0.0.1:%d/x" % real.port
            trusting = ("--set", "registry.ca_file=" + os.path.join(folder, "good.pem"))
            for url, options in ((good, ()), (bad, trusting)):
                result = cache(folder + "/c", "push", url, *options, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn("SSL", result.stderr)
            cache(folder + "/c", "push", good, *trusting)
            cache(folder + "/c", "pull", good, *trusting)
            # What was begun with encryption is not gone on with without it.
            plain = cache(folder + "/c", "pull", good, "--plain-http", check=False)
            self.assertEqual(plain.returncode, 1)


class Words(unittest.TestCase):
    def test_places(self):
        with tempfile.TemporaryDirectory(prefix="tf-e2e-registry-") as folder:
            for wrong in ("", "http://a/b", "oci://", "oci://a", "oci:///b", "oci://a/", "oci://a/B", "oci://a/b:",
                          "oci://a/b:-", "oci://a/b:" + "x" * 129, "oci://a/b//c", "oci://a/../b", "oci://u@a/b",
                          "oci://a:0/b", "oci://a:65536/b", "oci://a:x/b", "oci://a/b___c", "oci://a/b-", "oci://a/_b",
                          "oci://a?/b", "oci://a/b?c", "oci://a/b@sha256:" + "0" * 64):
                self.assertEqual(cache(folder, "pull", wrong, check=False).returncode, 2, wrong)
            with socket.socket() as closed:
                closed.bind(("127.0.0.1", 0))
                for right in ("a", "a/b-c", "a--b", "a__b/c.d", "a:T_1.x-y"):
                    url = "oci://127.0.0.1:%d/%s" % (closed.getsockname()[1], right)
                    self.assertEqual(cache(folder, "pull", url, check=False).returncode, 1, right)


if __name__ == "__main__":
    if not registry.made(KIND):
        print("there is no %s" % KIND.PROGRAM)
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
