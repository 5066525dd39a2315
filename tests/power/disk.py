"""A disk with a volatile write cache, served to a virtual machine as a network block device (NBD).

The machine may only count on what it has flushed. What it wrote after its last flush is in the cache,
and `lose_power` decides what of it reaches the medium: nothing, all, or some writes and not others, with
one torn within. A real disk may do any of these, also in another order than that of the writes.
"""

import os
import random
import socket
import struct
import threading

SECTOR = 512
MAGIC, OPTION_MAGIC = 0x4E42444D41474943, 0x49484156454F5054
REPLY_MAGIC, REQUEST, ANSWER = 0x3E889045565A9, 0x25609513, 0x67446698
EXPORT_NAME, ABORT, INFO, GO = 1, 2, 6, 7
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
HAS_FLAGS, SENDS_FLUSH, SENDS_FUA = 1, 4, 8
FUA = 1


class PowerLost(Exception):
    """The disk does not answer any more."""


class Disk:
    """The medium is a file; `durable` has the bytes of each sector that a write in the cache replaces."""

    def __init__(self, image, address):
        self.file = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.durable, self.cached = {}, []
        self.n_writes = self.n_flushes = 0
        self.trigger = None
        self.is_lost = False
        self.lock = threading.Lock()
        self.on_trigger = lambda: None
        if os.path.exists(address):
            os.unlink(address)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(1)
        threading.Thread(target=self.serve, daemon=True).start()

    def arm(self, kind, number, then):
        """Loses the power at the arrival of a write or a flush, counted from now; calls `then`."""
        with self.lock:
            self.n_writes = self.n_flushes = 0
            self.trigger, self.on_trigger = (kind, number), then

    def lose_power(self, fate, dice):
        """Ends all service; `fate` is `none`, `some` or `all`, of what the cache holds. Returns an account."""
        with self.lock:
            self.is_lost = True
            self.listener.close()
            n_cached = len(self.cached)
            kept = self.kept(fate, dice)
            for sector, data in self.durable.items():
                os.pwrite(self.file, data, sector * SECTOR)
            for offset, data in kept:
                os.pwrite(self.file, data, offset)
            os.close(self.file)
            return f"{len(kept)} of {n_cached} unflushed writes kept"

    def kept(self, fate, dice):
        if fate == "none":
            return []
        if fate == "all":
            return self.cached
        chosen = [write for write in self.cached if dice.random() < 0.5]
        if chosen:
            torn = dice.randrange(len(chosen))
            offset, data = chosen[torn]
            chosen[torn] = (offset, data[: SECTOR * dice.randint(0, len(data) // SECTOR)])
        return chosen

    def serve(self):
        try:
            connection, _ = self.listener.accept()
            with connection:
                self.greet(connection)
                while self.answer(connection):
                    pass
        except (OSError, PowerLost):
            return

    def greet(self, connection):
        """The fixed newstyle handshake of NBD; there is one export and its name does not matter."""
        connection.sendall(struct.pack(">QQH", MAGIC, OPTION_MAGIC, 1))
        receive(connection, 4)
        flags = HAS_FLAGS | SENDS_FLUSH | SENDS_FUA
        while True:
            _, option, length = struct.unpack(">QII", receive(connection, 16))
            receive(connection, length)
            if option == EXPORT_NAME:
                connection.sendall(struct.pack(">QH", self.size, flags) + bytes(124))
                return
            if option in (INFO, GO):
                export = struct.pack(">HQH", 0, self.size, flags)
                blocks = struct.pack(">HIII", 3, SECTOR, 4096, 32 << 20)
                for kind, data in [(3, export), (3, blocks), (1, b"")]:
                    connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)
                if option == GO:
                    return
            else:
                connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, 0x80000001, 0))
                if option == ABORT:
                    raise PowerLost

    def answer(self, connection):
        """Carries out one request; returns whether others may come."""
        _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(connection, 28))
        data = receive(connection, length) if kind == WRITE else b""
        if kind == DISCONNECT:
            return False
        with self.lock:
            if self.is_lost:
                raise PowerLost
            self.pull_the_trigger(kind)
            error, read = 0, b""
            if kind == READ:
                read = os.pread(self.file, length, offset)
            elif kind == WRITE:
                self.write(offset, data)
                if flags & FUA:
                    self.harden(offset, len(data))
            elif kind == FLUSH:
                self.durable, self.cached = {}, []
            else:
                error = 22
        connection.sendall(struct.pack(">IIQ", ANSWER, error, handle) + read)
        return True

    def pull_the_trigger(self, kind):
        self.n_writes += kind == WRITE
        self.n_flushes += kind == FLUSH
        reached = [("write", self.n_writes), ("flush", self.n_flushes)]
        if self.trigger in reached:
            self.trigger, self.is_lost = None, True
            self.on_trigger()
            raise PowerLost

    def write(self, offset, data):
        first, end = offset // SECTOR, (offset + len(data)) // SECTOR
        for sector in range(first, end):
            if sector not in self.durable:
                self.durable[sector] = os.pread(self.file, SECTOR, sector * SECTOR)
        self.cached.append((offset, data))
        os.pwrite(self.file, data, offset)

    def harden(self, offset, length):
        """A write with FUA is on the medium whatever becomes of the cache."""
        sectors = range(offset // SECTOR, (offset + length) // SECTOR)
        for sector in sectors:
            self.durable.pop(sector, None)
        # Older writes to the same sectors must not come back over it.
        older, self.cached = self.cached[:-1], []
        for at, data in older:
            inside = [s for s in range(at // SECTOR, (at + len(data)) // SECTOR) if s not in sectors]
            for sector in inside:
                begin = sector * SECTOR - at
                self.cached.append((sector * SECTOR, data[begin : begin + SECTOR]))


def receive(connection, length):
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise PowerLost
        parts += part
    return bytes(parts)


def self_check(folder):
    """The disk must forget, or all that is tested on it means nothing."""
    image = os.path.join(folder, "self-check.img")
    for fate, expected in [("none", b"A" * 512), ("all", b"B" * 512)]:
        with open(image, "wb") as file:
            file.write(bytes(1 << 16))
        disk = Disk(image, os.path.join(folder, "self-check.socket"))
        disk.write(0, b"A" * 512)
        disk.durable, disk.cached = {}, []
        disk.write(0, b"B" * 512)
        disk.write(512, b"C" * 1024)
        disk.harden(512, 1024)
        disk.lose_power(fate, random.Random(1))
        with open(image, "rb") as file:
            assert file.read(1536) == expected + b"C" * 1024, fate
    os.unlink(image)
