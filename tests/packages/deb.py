#!/usr/bin/env python3
"""Judges a .deb, and installs it in a root of its own: tour, timer, upgrade and purge.

Usage: deb.py PACKAGE HFDL_TEST_HUB [ROOT.tar]

Without ROOT.tar only the content is judged, by dpkg and lintian. ROOT.tar is a system that mmdebstrap made, with
systemd; that part needs root. The timer is that of an ordinary user, in a system that systemd-nspawn boots.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tarball import files, is_static, run
from tour import Failed, Hub, check, take

USER = 1000
NAME = "alice"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Folders that dpkg and a running system write to.
OF_THE_SYSTEM = ("var/lib/dpkg/", "var/log/", "var/cache/", "home/", "run/", "tmp/", "proc/", "sys/", "dev/")


def content(package, version):
    """Everything that is to be in the package is there, in the form that Debian wants."""
    fields = run("dpkg-deb", "--field", package)
    check(f"\nVersion: {version}-1\n" in fields, fields)
    check("control" in run("dpkg-deb", "--ctrl-tarfile", package), "it has control data")
    with tempfile.TemporaryDirectory(prefix="hfdl-deb-") as place:
        run("dpkg-deb", "--raw-extract", package, f"{place}/all")
        folder = Path(place, "all")
        # The scripts of maintainers could do anything at installation; there are none.
        check({path.name for path in (folder / "DEBIAN").iterdir()} == {"control", "md5sums"}, "no scripts")
        run("md5sum", "--check", "--strict", "--quiet", "DEBIAN/md5sums", cwd=folder)
        static = is_static(folder / "usr/bin/hfdl")
        check(("\nDepends: " in fields) != static, f"a program with a loader depends on its libraries: {fields}")
        share = folder / "usr/share"
        pages = list(share.glob("man/man[17]/*.gz"))
        check(len(pages) > 50 and all(b".TH" in gzip.decompress(page.read_bytes()) for page in pages), "manual pages")
        for name in ("bash-completion/completions/hfdl", "zsh/vendor-completions/_hfdl",
                     "fish/vendor_completions.d/hfdl.fish", "doc/hfdl/copyright", "doc/hfdl/changelog.Debian.gz",
                     "doc/hfdl/changelog.gz", "doc/hfdl/THIRD-PARTY.md.gz", "doc/hfdl/hfdl.cdx.json.gz"):
            check((share / name).stat().st_size > 100, f"{name} is there")
        for example in (share / "doc/hfdl/examples").iterdir():
            check("/usr/local/bin/hfdl" not in example.read_text(), f"{example.name} names the program of the package")
        bill = json.loads(gzip.decompress((share / "doc/hfdl/hfdl.cdx.json.gz").read_bytes()))
        words = (share / "doc/hfdl/copyright").read_text()
        for component in bill["components"]:
            check(f"vendor/{component['name']}-{component['version']}/*" in words, f"{component['name']} has a licence")
        run("systemd-analyze", "verify", "--man=no", *units(folder, place), PATH=PATH)
    # Its advice (info, pedantic) is not asked for.
    environment = {"PATH": PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    words = ["lintian", "--allow-root", "--color", "never", "--fail-on", "error,warning", package]
    print(run(*words, **environment).strip() or "lintian has neither errors nor warnings")


def units(folder, place):
    """The units among the examples, beside a program where they look for it."""
    found = []
    for kind in ("service", "timer"):
        text = (folder / f"usr/share/doc/hfdl/examples/systemd-hfdl.{kind}").read_text()
        path = Path(place, f"hfdl.{kind}")
        path.write_text(text.replace("/usr/bin/hfdl", f"{folder}/usr/bin/hfdl"))
        found.append(path)
    return found


def older(package, place):
    """A package of an older version, with a file that the new one does not have."""
    folder = Path(place, "older")
    run("dpkg-deb", "--raw-extract", package, folder)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 0.0.1-1", control.read_text()))
    (folder / "usr/share/man/man1/hfdl-gone.1.gz").write_bytes(gzip.compress(b".TH gone 1"))
    run("dpkg-deb", "--root-owner-group", "--build", folder, f"{place}/older.deb")
    return Path(place, "older.deb")


class System:
    """A root folder with Debian in it."""

    def __init__(self, archive, place):
        self.folder = Path(place, "root")
        self.folder.mkdir()
        run("tar", "-xf", archive, "-C", self.folder, "--exclude=./dev/*")
        (self.folder / "dev/null").touch()
        self.inside("useradd", "--create-home", "--uid", USER, NAME)

    def inside(self, *words, user=None):
        chosen = [] if user is None else [f"--userspec={user}:{user}"]
        return run("chroot", *chosen, self.folder, *words, PATH=PATH, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")

    def install(self, package):
        shutil.copy(package, self.folder / "package.deb")
        said = self.inside("dpkg", "--install", "/package.deb")
        (self.folder / "package.deb").unlink()
        return said

    def files(self):
        return [name for name in files(self.folder) if not name.startswith(OF_THE_SYSTEM)]

    @contextlib.contextmanager
    def booted(self):
        """Boots the system, and gives a function that runs a command line in it; None where that is not possible."""
        command = ["systemd-nspawn", "--directory", self.folder, "--register=no", "--keep-unit", "--boot", "--console=pipe"]
        nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        leader = None

        def inside(*words, user=None):
            options = ["--reuid", USER, "--regid", USER, "--init-groups"] if user else []
            own = {"HOME": f"/home/{NAME}", "USER": NAME, "XDG_RUNTIME_DIR": f"/run/user/{USER}"} if user else {}
            namespaces = ["nsenter", "--target", leader, "--mount", "--uts", "--ipc", "--pid"]
            return run(*namespaces, "setpriv", *options, "env", "-i", f"PATH={PATH}",
                       *(f"{name}={value}" for name, value in {**own, **(user or {})}.items()), *words)

        try:
            deadline = time.monotonic() + 120
            while nspawn.poll() is None and time.monotonic() < deadline:
                children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
                leader = children[0] if children else None
                with contextlib.suppress(Failed):
                    if leader and "running" in inside("systemctl", "is-system-running"):
                        break
                time.sleep(0.3)
            else:
                leader = None
            yield inside if leader else None
        finally:
            if leader:
                with contextlib.suppress(Failed):
                    inside("systemctl", "poweroff")
            with contextlib.suppress(subprocess.TimeoutExpired):
                nspawn.wait(30)
            nspawn.kill()
            nspawn.wait()


def timer_of_a_user(system, hub):
    """`hfdl start` of a user makes a timer of systemd that fires, and `hfdl stop` takes it away."""
    with system.booted() as inside, Hub(hub) as served:
        if inside is None:
            print("systemd-nspawn cannot boot a system here: the timer is not tried")
            return
        inside("loginctl", "enable-linger", NAME)
        user = {"HF_ENDPOINT": served.url, "HFDL_DISK_RESERVE": "0", "NO_PROXY": "127.0.0.1"}
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(Failed):
                inside("systemctl", "--user", "is-active", "default.target", user=user)
                break
            check(time.monotonic() < deadline, "the systemd of the user is running")
            time.sleep(0.3)
        for line in ("config set hub.endpoint " + served.url, "config set disk.reserve 0", "models add acme/tiny",
                     "schedules add often --every 1h --all"):
            inside("hfdl", *line.split(), user=user)
        check("(systemd)" in inside("hfdl", "start", "--every", "1m", user=user), "the timer is one of systemd")
        check("hfdl-" in inside("systemctl", "--user", "list-timers", user=user), "and systemd knows it")
        deadline = time.monotonic() + 150
        while True:
            with contextlib.suppress(Failed):
                status = json.loads(inside("hfdl", "--json", "status", user=user))
                if status["last_run"] and status["last_run"]["outcome"] == "ok":
                    break
            check(time.monotonic() < deadline, "the timer has fired within two minutes, and fetched the model")
            time.sleep(1)
        check(status["last_run"]["trigger"] == "timer", f"the timer started the run: {status['last_run']}")
        inside("hfdl", "stop", user=user)
        check("hfdl-" not in inside("systemctl", "--user", "list-timers", "--all", user=user), "the timer is gone")
        check(inside("find", f"/home/{NAME}/.config/systemd", "-type", "f", user=user) == "", "and so are its units")
    print("the timer of a user was started by systemd, fired, and was removed")


def installed(package, hub, archive, version):
    with tempfile.TemporaryDirectory(prefix="hfdl-deb-") as place:
        os.chmod(place, 0o755)
        system = System(archive, place)
        before = system.files()
        system.install(older(package, place))
        check((system.folder / "usr/share/man/man1/hfdl-gone.1.gz").exists(), "the older package is installed")
        home = system.folder / "home" / NAME / "tour"
        system.inside("mkdir", f"/home/{NAME}/tour", user=USER)
        system.install(package)
        check(not (system.folder / "usr/share/man/man1/hfdl-gone.1.gz").exists(), "the upgrade removes old files")
        check(system.inside("dpkg", "--verify", "hfdl") == "", "files are as they were packed")
        check(system.inside("hfdl", "--version", user=USER).strip() == f"hfdl {version}", "the new version runs")
        chroot = ["chroot", f"--userspec={USER}:{USER}", system.folder, "/usr/bin/hfdl"]
        take(hub, chroot, home, Path(f"/home/{NAME}/tour"))
        kept = files(home)
        timer_of_a_user(system, hub)
        system.inside("dpkg", "--purge", "hfdl")
        left = [name for name in system.files() if name not in before and not name.startswith(("etc/", "var/lib/"))]
        check(left == [], f"purging left {left}")
        check("hfdl" not in "".join(system.files()), "no file of the system has the name of hfdl")
        check(files(home) == kept, "models and state of the user stay")
    print(f"{package.name}: installed, upgraded, toured and purged")


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    version = re.match(r"hfdl_([0-9.]+)-1_", package.name)[1]
    if len(sys.argv) == 3:
        content(package, version)
    else:
        installed(package, hub, Path(sys.argv[3]).resolve(), version)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
