"""File systems that can be mounted on this machine, each on an image or a folder of its own."""

import os
import shutil
import socket
import subprocess
import threading
import time

MEBIBYTES = 64


class NotHere(Exception):
    """This machine cannot mount the file system."""


def call(*line, **options):
    """Runs a program; its stderr is the reason when it fails or is missing."""
    try:
        ran = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, **options)
    except FileNotFoundError:
        raise NotHere(f"there is no {line[0]}") from None
    if ran.returncode != 0:
        words = (ran.stderr or ran.stdout).strip().splitlines() or [f"exit {ran.returncode}"]
        raise NotHere(f"{line[0]}: {words[-1]}")
    return ran.stdout.strip()


class Mount:
    """A mounted file system; `with` unmounts it, which fails while a process uses it."""

    def __init__(self, kind, scratch):
        self.kind, self.scratch = kind, scratch
        self.at, self.below = os.path.join(scratch, "at"), os.path.join(scratch, "below")
        self.at_end = []

    def __enter__(self):
        os.makedirs(self.at)
        os.makedirs(self.below)
        try:
            KINDS[self.kind](self)
        except BaseException:
            self.end(lazily=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.end(lazily=kind is not None)

    def end(self, lazily):
        if os.path.ismount(self.at):
            self.unmount(lazily)
        for action in reversed(self.at_end):
            action()

    def unmount(self, lazily):
        if lazily:
            subprocess.run(["umount", "-l", self.at], check=False, capture_output=True)
            return
        for patience in [0.1, 0.3, 1.0, 0]:
            ran = subprocess.run(["umount", self.at], check=False, capture_output=True, text=True)
            if ran.returncode == 0:
                return
            time.sleep(patience)
        raise AssertionError(f"it cannot be unmounted: {ran.stderr.strip()}")

    def image(self, mebibytes=MEBIBYTES):
        path = os.path.join(self.scratch, "image")
        with open(path, "wb") as file:
            file.truncate(mebibytes << 20)
        return path

    def wait_until_mounted(self):
        for _ in range(100):
            if os.path.ismount(self.at):
                return
            time.sleep(0.05)
        raise NotHere("it was not mounted within five seconds")

    def start(self, *line, **options):
        """Starts a program that ends with the mount."""
        log = open(os.path.join(self.scratch, f"{os.path.basename(line[0])}.log"), "wb")
        process = subprocess.Popen(line, **{"stdout": log, "stderr": log} | options)
        self.at_end.append(lambda: (process.terminate(), process.wait(), log.close()))
        return process


def of_kernel(kind, mebibytes, *make):
    def mount(this):
        image = this.image(mebibytes)
        call(*make, image)
        call("mount", "-t", kind, "-o", "loop", image, this.at)

    return mount


def tmpfs(this):
    call("mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES * 2}m", "tmpfs", this.at)


def overlayfs(this):
    layers = [os.path.join(this.below, name) for name in ["lower", "upper", "work"]]
    # The upper layer lies on a file system of its own: overlayfs is often the root of the machine.
    call("mount", "-t", "tmpfs", "tmpfs", this.below)
    this.at_end.append(lambda: call("umount", "-l", this.below))
    for layer in layers:
        os.makedirs(layer)
    lower, upper, work = layers
    call("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", this.at)


def exfat(this):
    image = this.image()
    call("mkfs.exfat", image)
    device = call("losetup", "-f", "--show", image)
    this.at_end.append(lambda: call("losetup", "-d", device))
    call("mount.exfat-fuse", device, this.at)


def ntfs(this):
    image = this.image()
    call("mkntfs", "-F", "-Q", image)
    call("ntfs-3g", image, this.at)


def fusefat(this):
    image = this.image()
    call("mkfs.vfat", "-F", "32", image)
    call("fusefat", "-o", "rw+", image, this.at)
    this.wait_until_mounted()


def ext4_by_fuse(this):
    image = this.image()
    call("mkfs.ext4", "-q", image)
    call("fuse2fs", "-o", "fakeroot", image, this.at)


def sshfs(*options):
    def mount(this):
        line = ["sshfs", f"127.0.0.1:{this.below}", this.at]
        for option in [*server_options(this), *options]:
            line += ["-o", option]
        call(*line, stdin=subprocess.DEVNULL)

    return mount


def server_options(this):
    """Starts the machine's own sshd on loopback, or without one its SFTP server; returns how to reach it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        if not os.path.exists(sshd):
            serve_sftp(this, listener.dup())
            return [f"directport={port}"]
    os.makedirs("/run/sshd", exist_ok=True)
    key = os.path.join(this.scratch, "key")
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    settings = os.path.join(this.scratch, "sshd_config")
    with open(settings, "w", encoding="utf-8") as file:
        file.write(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nAuthorizedKeysFile {key}.pub\n"
            "StrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n"
        )
    this.start(sshd, "-D", "-f", settings)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                known = "StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null"
                return [f"port={port}", known, f"IdentityFile={key}"]
        time.sleep(0.05)
    raise NotHere("sshd does not listen")


def serve_sftp(this, listener):
    """Serves one connection."""
    program = "/usr/lib/openssh/sftp-server"
    if not os.path.exists(program):
        raise NotHere("there is neither sshd nor sftp-server")

    def serve():
        connection, _ = listener.accept()
        with connection:
            this.start(program, stdin=connection, stdout=connection)

    this.at_end.append(listener.close)
    threading.Thread(target=serve, daemon=True).start()


def rclone(this):
    options = ["--vfs-cache-mode", "writes", "--vfs-write-back", "1s"]
    settings = {"RCLONE_CONFIG": "/dev/null", "HOME": this.scratch}
    this.start("rclone", "mount", f":local:{this.below}", this.at, *options, env=os.environ | settings)
    this.wait_until_mounted()


def gocryptfs(this):
    password = ["-extpass", "echo password"]
    call("gocryptfs", "-q", "-init", "-scryptn", "10", *password, this.below)
    call("gocryptfs", "-q", *password, this.below, this.at)


def bindfs(this):
    call("bindfs", this.below, this.at)


# Uploads in the background; a file that is read before has another time until then. In seconds.
UPLOADS_WITHIN = {"rclone": 2.5}
SHARES_EXTENTS = ["xfs", "btrfs"]
# Cannot make a file longer, so that no download works; what must be right is the refusal.
REFUSED = ["fusefat"]
KINDS = {
    "ext4": of_kernel("ext4", MEBIBYTES, "mkfs.ext4", "-q"),
    "xfs": of_kernel("xfs", 320, "mkfs.xfs", "-q"),
    "btrfs": of_kernel("btrfs", 256, "mkfs.btrfs", "-q"),
    "tmpfs": tmpfs,
    "overlayfs": overlayfs,
    "exfat": exfat,
    "ntfs": ntfs,
    "vfat": of_kernel("vfat", MEBIBYTES, "mkfs.vfat", "-F", "32"),
    "fusefat": fusefat,
    "fuse2fs": ext4_by_fuse,
    "sshfs": sshfs(),
    "sshfs-links": sshfs("no_contain_symlinks"),
    "rclone": rclone,
    "gocryptfs": gocryptfs,
    "bindfs": bindfs,
}
