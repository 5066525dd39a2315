"""A virtual machine: Debian's kernel, an initramfs with busybox and hfdl, and a disk that forgets.

The init of the machine does nothing but carry out the lines that come over the serial console, so that
all decisions are made on the host.
"""

import glob
import gzip
import lzma
import os
import queue
import re
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import threading
import time

HOST = "10.0.2.2"
TESTED = ["ext4", "xfs", "btrfs"]
MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "crc32c_intel", *TESTED]
LONGEST = 240

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
for module in $(cat /modules/order); do insmod "/modules/$module" 2>/dev/null; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
stty -echo
echo '#ready'
while read -r line; do
    eval "$line"
    echo "#done $?"
done
"""


class Hung(Exception):
    """The machine did not come to the expected point."""


class NotStarted(Exception):
    """The kernel did not come up, which says nothing about the disk: it was not touched."""


def missing_tools(file_systems):
    tools = ["qemu-system-x86_64", "busybox", "strip", *(f"mkfs.{kind}" for kind in file_systems)]
    return [tool for tool in tools if shutil.which(tool, path=search_path()) is None]


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def make_file_system(kind, image, megabytes):
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    quiet = {"ext4": ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"], "xfs": ["-q", "-f"], "btrfs": ["-q", "-f"]}
    environment = {**os.environ, "PATH": search_path()}
    line = [f"mkfs.{kind}", *quiet[kind], image]
    subprocess.run(line, check=True, env=environment, stdout=subprocess.DEVNULL)


class Initramfs:
    """A cpio archive in the form `newc`, written here because `cpio` is one more program."""

    def __init__(self):
        self.parts, self.number, self.folders = [], 0, set()

    def add(self, name, data, mode):
        parent = os.path.dirname(name)
        if parent and parent not in self.folders:
            self.folders.add(parent)
            self.add(parent, b"", stat.S_IFDIR | 0o755)
        self.number += 1
        encoded = name.encode() + b"\0"
        fields = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self.parts += [padded(header + encoded), padded(data)]

    def add_file(self, name, path, mode=0o755):
        with open(path, "rb") as file:
            self.add(name, file.read(), stat.S_IFREG | mode)

    def write(self, path):
        for folder in ["proc", "sys", "dev", "tmp", "data"]:
            self.add(folder, b"", stat.S_IFDIR | 0o755)
        self.add("TRAILER!!!", b"", 0)
        with gzip.open(path + ".new", "wb", compresslevel=1) as file:
            file.write(b"".join(self.parts))
        # Another campaign may be starting machines from it.
        os.rename(path + ".new", path)


def padded(data):
    return data + bytes(-len(data) % 4)


def module_order(kernel):
    """Returns the files of the wanted modules, each after those that it depends on."""
    files = {}
    for path in glob.glob(f"{kernel}/lib/modules/*/kernel/**/*.ko*", recursive=True):
        files[os.path.basename(path).split(".")[0].replace("-", "_")] = path
    order = []

    def add(name):
        path = files.get(name)
        # A module that is not there is built into the kernel.
        if path is None or path in order:
            return
        found = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module_bytes(path))
        for needed in found.group(1).decode().split(",") if found else []:
            add(needed.replace("-", "_"))
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def module_bytes(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rb") as file:
        return file.read()


def build_initramfs(hfdl, kernel, path):
    archive = Initramfs()
    archive.add("init", INIT.encode(), stat.S_IFREG | 0o755)
    busybox = shutil.which("busybox")
    archive.add_file("bin/busybox", busybox)
    stripped = path + ".hfdl"
    subprocess.run(["strip", "-o", stripped, hfdl], check=True)
    archive.add_file("bin/hfdl", stripped)
    os.unlink(stripped)
    for library in libraries(hfdl) | libraries(busybox):
        archive.add_file(library.lstrip("/"), library)
    names = []
    for module in module_order(kernel):
        names.append(os.path.basename(module).removesuffix(".xz").removesuffix(".zst"))
        archive.add(f"modules/{names[-1]}", module_bytes(module), stat.S_IFREG | 0o644)
    archive.add("modules/order", "\n".join(names).encode(), stat.S_IFREG | 0o644)
    archive.write(path)


def libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(/\S+) \(0x", listed))


class Link(str):
    """The target of a symbolic link."""


def content_of(member, archive, received):
    if member.issym():
        return Link(member.linkname)
    if member.islnk():
        return received[os.path.normpath(member.linkname)]
    return archive.extractfile(member).read() if member.isreg() else None


class Machine:
    """One start of the machine, from power on to power off."""

    def __init__(self, settings, kernel, initramfs, disk_address):
        image = glob.glob(f"{kernel}/boot/vmlinuz-*")[0]
        disk = f"driver=nbd,node-name=disk,server.type=unix,server.path={disk_address}"
        line = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "pc", "-accel", settings.accel, "-smp", "2", "-m", "512",
            "-kernel", image, "-initrd", initramfs,
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check",
            "-serial", "stdio",
            "-blockdev", disk, "-device", "virtio-blk-pci,drive=disk,write-cache=on",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
        ]  # fmt: skip
        line += ["-cpu", "host" if settings.accel == "kvm" else "max"]
        self.process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self.said, self.lines = [], queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.listener = socket.create_server(("127.0.0.1", 0))
        if self.wait_for("#ready") is None:
            raise NotStarted(self.tail())

    def listen(self):
        for line in self.process.stdout:
            line = line.rstrip("\r\n")
            self.said.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, beginning):
        """Returns the rest of the first line that begins so; `None` when the machine is gone before."""
        end = time.monotonic() + LONGEST
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Hung(f"no `{beginning}` within {LONGEST} s; last lines:\n" + self.tail()) from None
            if line is None:
                return None
            if line.startswith(beginning):
                return line[len(beginning) :].strip()

    def tail(self, n_lines=30):
        return "\n".join(self.said[-n_lines:])

    def run(self, line):
        """Carries out a line of shell; returns its exit code and what it printed, or `None` when cut off."""
        begin = len(self.said)
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        code = self.wait_for("#done")
        if code is None:
            return None
        return int(code), "\n".join(self.said[begin:-1])

    def must(self, line):
        ran = self.run(line)
        if ran is None or ran[0] != 0:
            raise Hung(f"`{line}` in the machine: {ran}\n{self.tail()}")
        return ran[1]

    def files(self, folder):
        """Returns what lies below a folder of the machine: names with bytes, or with a `Link`."""
        port = self.listener.getsockname()[1]
        received = {}

        def receive():
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    received[os.path.normpath(member.name)] = content_of(member, archive, received)
                while stream.read(1 << 20):
                    pass

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        self.must(f"tar -c -C {folder} . | nc {HOST} {port}")
        thread.join(LONGEST)
        if thread.is_alive() or not received:
            raise Hung("the files of the machine did not arrive")
        return received

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.listener.close()
