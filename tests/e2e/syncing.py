"""Real programs that bring files into a folder: Syncthing, bindfs. Each is bounded to loopback and to a test's own
folders, and says when it is not installed."""
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree

import e2e

API_KEY = "of-a-test"


def executable(name):
    """Its path, also where PATH of a plain user has none of it; None: not installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")


class Syncthing:
    """One peer, with one folder."""

    def __init__(self, home, folder):
        self.home, self.folder = home, folder
        self.gui, self.port = e2e.free_port(), e2e.free_port()
        self.process = None
        os.makedirs(folder, exist_ok=True)
        subprocess.run([executable("syncthing"), "generate", "--no-default-folder", "--home", home], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.path = os.path.join(home, "config.xml")
        self.device = xml.etree.ElementTree.parse(self.path).getroot().find("device").get("id")

    def configure(self, peer):
        """Knows its peer, and shares the folder with it; nothing looks for anybody else."""
        tree = xml.etree.ElementTree.parse(self.path)
        root = tree.getroot()
        gui = root.find("gui")
        gui.find("address").text = "127.0.0.1:%d" % self.gui
        gui.find("apikey").text = API_KEY
        options = root.find("options")
        for name in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled",
                     "crashReportingEnabled", "startBrowser", "setLowPriority"):
            element = options.find(name)
            if element is None:
                element = xml.etree.ElementTree.SubElement(options, name)
            element.text = "false"
        for element in options.findall("listenAddress"):
            options.remove(element)
        xml.etree.ElementTree.SubElement(options, "listenAddress").text = "tcp://127.0.0.1:%d" % self.port
        for name, value in (("urAccepted", "-1"), ("autoUpgradeIntervalH", "0"), ("reconnectionIntervalS", "1")):
            element = options.find(name)
            if element is None:
                element = xml.etree.ElementTree.SubElement(options, name)
            element.text = value
        device = xml.etree.ElementTree.SubElement(root, "device", id=peer.device, name="peer", compression="metadata")
        xml.etree.ElementTree.SubElement(device, "address").text = "tcp://127.0.0.1:%d" % peer.port
        shared = xml.etree.ElementTree.SubElement(root, "folder", id="site", label="site", path=self.folder,
                                                  type="sendreceive", rescanIntervalS="5", fsWatcherEnabled="true",
                                                  fsWatcherDelayS="1")
        for one in (self, peer):
            xml.etree.ElementTree.SubElement(shared, "device", id=one.device)
        tree.write(self.path)

    def start(self):
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = e2e.spawn(
                [executable("syncthing"), "serve", "--no-browser", "--no-restart", "--no-upgrade", "--home",
                 self.home], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_connected(self):
        try:
            request = urllib.request.Request("http://127.0.0.1:%d/rest/system/connections" % self.gui,
                                             headers={"X-API-Key": API_KEY})
            with urllib.request.urlopen(request, timeout=5) as answer:
                return b'"connected": true' in answer.read()
        except (OSError, urllib.error.URLError):
            return False

    def close(self):
        e2e.end(self.process)


def syncthing_pair(folder, first, second):
    """Two peers that share the folders `first` and `second`, connected. None: Syncthing is not installed."""
    if executable("syncthing") is None:
        return None
    peers = [Syncthing(os.path.join(folder, "syncthing-%d" % number), shared)
             for number, shared in enumerate((first, second))]
    peers[0].configure(peers[1])
    peers[1].configure(peers[0])
    for peer in peers:
        peer.start()
    deadline = time.monotonic() + e2e.PATIENCE
    while not all(peer.is_connected() for peer in peers):
        if time.monotonic() > deadline:
            for peer in peers:
                peer.close()
            raise AssertionError("the Syncthing peers did not find each other")
        time.sleep(0.2)
    return peers


class Bindfs:
    """A FUSE mount of `backing` at `place`, whose changes behind its back no inotify tells."""

    def __init__(self, backing, place):
        self.place = place
        os.makedirs(backing, exist_ok=True)
        os.makedirs(place, exist_ok=True)
        self.process = e2e.spawn([executable("bindfs"), "-f", backing, place], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not os.path.ismount(place):
            if self.process.poll() is not None:
                raise OSError("bindfs: " + self.process.stderr.read().decode("utf-8", "replace").strip())
            if time.monotonic() > deadline:
                self.close()
                raise OSError("bindfs mounted nothing")
            time.sleep(0.05)

    def close(self):
        unmount = executable("fusermount") or executable("fusermount3")
        # In any case: a mount whose process died is none to os.path.ismount.
        subprocess.run([unmount, "-u", "-z", self.place] if unmount else ["umount", "-l", self.place], check=False,
                       stderr=subprocess.DEVNULL)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


def bindfs(backing, place):
    """A mount, or None where this machine has none to give."""
    if executable("bindfs") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return None
    try:
        return Bindfs(backing, place)
    except OSError:
        return None
