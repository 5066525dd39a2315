"""A long line between this machine and a network namespace, for benchmarks.

Many small kernels lack the netem queue, so every packet goes through this program, which keeps it
for half a round trip. Both ends run the kernel's own TCP with its handshakes and slow start; loss and
a bottleneck are not imitated. Needs root, /dev/net/tun and `ip`.
"""

import collections
import contextlib
import fcntl
import os
import select
import shutil
import struct
import subprocess
import threading
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# Packets come as the kernel would hand them to a network card: up to 64 KiB at once.
LARGE_PACKETS = 0x01 | 0x02 | 0x04
PACKET_BYTES = 70_000


def is_possible():
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun") and shutil.which("ip") is not None


class LongLine:
    """`address` is this machine as seen from the far end; `words` before a command run it there."""

    def __init__(self, round_trip_seconds):
        # Addresses of its own, so that two benchmarks at once do not answer each other.
        network = os.getpid() % 2**14
        first = f"10.213.{network // 64}"
        self.address, self.far = (f"{first}.{network % 64 * 4 + end}" for end in (1, 2))
        self.delay = round_trip_seconds / 2
        self.namespace = f"hfdl-bench-{os.getpid()}"
        self.words = ["ip", "netns", "exec", self.namespace]

    def __enter__(self):
        ip("netns", "add", self.namespace)
        try:
            near, far = f"hfdln{os.getpid() % 10**7}", f"hfdlf{os.getpid() % 10**7}"
            self.ends = [open_tunnel(near), open_tunnel(far)]
            ip("link", "set", far, "netns", self.namespace)
            for prefix, device, address in (([], near, self.address), (self.words, far, self.far)):
                run(*prefix, "ip", "address", "add", f"{address}/30", "dev", device)
                run(*prefix, "ip", "link", "set", device, "mtu", "1500", "txqueuelen", "10000", "up")
            run(*self.words, "ip", "link", "set", "lo", "up")
            self.ended = threading.Event()
            self.carrier = threading.Thread(target=self.carry, daemon=True)
            self.carrier.start()
        except BaseException:
            ip("netns", "delete", self.namespace)
            raise
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.carrier.join()
        for end in self.ends:
            os.close(end)
        ip("netns", "delete", self.namespace)

    def carry(self):
        near, far = self.ends
        ways = {near: (far, collections.deque()), far: (near, collections.deque())}
        while not self.ended.is_set():
            now = time.monotonic()
            due = min((queue[0][0] for _, queue in ways.values() if queue), default=now + 0.1)
            readable, _, _ = select.select(self.ends, [], [], max(0, min(0.1, due - now)))
            now = time.monotonic()
            for end in readable:
                take_in(end, ways[end][1], now + self.delay)
            for onward, queue in ways.values():
                hand_on(onward, queue, now)


def take_in(end, queue, due):
    # Not without end: the other way must not wait.
    for _ in range(64):
        try:
            queue.append((due, os.read(end, PACKET_BYTES)))
        except BlockingIOError:
            return


def hand_on(end, queue, now):
    while queue and queue[0][0] <= now:
        # What the kernel has no room for is lost, as on any line.
        with contextlib.suppress(OSError):
            os.write(end, queue.popleft()[1])


def open_tunnel(name):
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22s", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, b""))
    fcntl.ioctl(end, TUNSETOFFLOAD, LARGE_PACKETS)
    return end


def ip(*words):
    run("ip", *words)


def run(*words):
    subprocess.run(words, check=True)
