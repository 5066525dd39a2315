#!/usr/bin/env python3
"""Judges an .rpm, installs it in an empty root, takes the tour, upgrades and erases it. Needs root.

Usage: rpm.py PACKAGE HFDL_TEST_HUB

The root has a database of rpm and nothing else, so a program that needs libraries is installed without them, and
takes the tour outside of the root.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tarball import files, is_static, run
from tour import Failed, check, take

HERE = Path(__file__).resolve().parent
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
USER = 1000


def judged(package, version):
    shown = run("rpm", "--query", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE} %{LICENSE}|%{BUILDHOST}", "-p", package)
    check(shown == f"hfdl {version}-1 MIT OR Apache-2.0|localhost", shown)
    check(run("rpm", "--query", "--scripts", "-p", package) == "", "no scripts")
    owners = run("rpm", "--query", "--queryformat", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]", "-p", package)
    check(set(owners.split()) == {"root:root"}, "everything belongs to root")
    said = run("rpmlint", "--config", HERE / "rpmlint.toml", package, HOME="/nonexistent").strip()
    check("0 errors, 0 warnings" in said, said)
    print(said.splitlines()[-1])


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    version = re.match(r"hfdl-([0-9.]+)-1\.", package.name)[1]
    judged(package, version)
    with tempfile.TemporaryDirectory(prefix="hfdl-rpm-") as place:
        os.chmod(place, 0o755)
        root, home = Path(place, "root"), Path(place, "root/home")
        # The layout of Fedora: the programs are below /usr.
        for name in ("usr/bin", "usr/share", "home", "proc"):
            (root / name).mkdir(parents=True)
        (root / "bin").symlink_to("usr/bin")
        home.chmod(0o777)
        # By absolute names, as rpm takes those of the option for paths inside of the root.
        rpm = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm"]
        run(*rpm, "--initdb", PATH=PATH)

        def own():
            return [name for name in files(root) if not name.startswith(("var/", "home/"))]

        before = own()
        program = root / "usr/bin/hfdl"
        static = "libc.so" not in run("rpm", "--query", "--requires", "-p", package)
        without = [] if static else ["--nodeps"]
        run(*rpm, "--install", *without, package, PATH=PATH)
        check(is_static(program) == static, "a program with a loader requires its libraries")
        check(run(*rpm, "--verify", *without, "hfdl", PATH=PATH) == "", "files are as they were packed")
        share = root / "usr/share"
        for name in ("man/man1/hfdl.1.gz", "man/man7/hfdl-tutorial.7.gz", "bash-completion/completions/hfdl",
                     "zsh/site-functions/_hfdl", "fish/vendor_completions.d/hfdl.fish", "licenses/hfdl/LICENSE",
                     "licenses/hfdl/THIRD-PARTY.md", "doc/hfdl/hfdl.cdx.json"):
            check((share / name).stat().st_size > 100, f"{name} is there")
        ordinary = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]
        if static:
            ordinary = ["chroot", f"--userspec={USER}:{USER}", root]
        inside = Path("/home/tour") if static else home / "tour"
        (home / "tour").mkdir()
        shutil.chown(home / "tour", USER, USER)
        take(hub, [*ordinary, "/usr/bin/hfdl" if static else program], home / "tour", inside)
        kept = files(home)
        run(*rpm, "--upgrade", "--replacepkgs", "--replacefiles", *without, package, PATH=PATH)
        check(files(home) == kept, "an upgrade leaves models and state")
        run(*rpm, "--erase", "hfdl", PATH=PATH)
        check(own() == before, f"erasing left {sorted(set(own()) - set(before))}")
        check([path for path in root.rglob("*hfdl*") if home not in path.parents] == [], "no folder is left")
        check(files(home) == kept, "models and state of the user stay")
    print(f"{package.name}: installed, toured and erased")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
