"""What the tests of caches share: the commands, what lies in a cache, and a machine that can compile nothing."""
import fcntl
import glob
import os
import socket
import struct
import subprocess

import guests
from e2e import LIBC, PROGRAM

CLONE_NEWNS, CLONE_NEWNET, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 4096, 16384, 1 << 18


def run(*arguments, check=True, **more):
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False, **more)
    if check and result.returncode != 0:
        raise AssertionError("%s: %d\n%s%s" % (arguments, result.returncode, result.stdout, result.stderr))
    return result


def cache(folder, *arguments, **more):
    return run("cache", *arguments, "--cache", folder, **more)


def tree(folder):
    """Relative paths and contents of all files."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as stream:
                found[os.path.relpath(full, folder)] = stream.read()
    return found


def prebuilt(folder, modules):
    """Builds {name: module} in folder/source into the cache folder/built: that cache, and the key that signed it."""
    source, built = os.path.join(folder, "source"), os.path.join(folder, "built")
    os.mkdir(source)
    for name, data in modules.items():
        with open(os.path.join(source, name), "wb") as stream:
            stream.write(data)
    run("prebuild", source, "--cache", built)
    return built, cache(built, "key").stdout.strip()


def hide_compilers_and_network():
    """In a child: no network but a loopback of its own, and every tool that builds is an empty file."""
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    names = ("cc", "gcc", "gcc-*", "clang", "clang-*", "ld", "ld.bfd", "ld.gold", "ld.lld*", "as", "bwrap",
             "x86_64-*-gcc*")
    tools = [path for name in names for path in glob.glob("/usr/bin/" + name)] + glob.glob(guests.PREFIX + "/bin/*")
    for tool in {os.path.realpath(tool) for tool in tools}:
        if os.path.isfile(tool) and LIBC.mount(b"/dev/null", tool.encode(), None, MS_BIND, None) != 0:
            return False
    with socket.socket() as probe:
        request = struct.pack("16sh14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(probe, 0x8914, request)  # SIOCSIFFLAGS
    return True
