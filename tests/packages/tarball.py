#!/usr/bin/env python3
"""Installs a tar.gz package from an empty folder, takes the tour with it, and uninstalls it.

Usage: tarball.py PACKAGE HFDL_TEST_HUB

The package of another processor needs a kernel that starts its programs through QEMU; `scripts/package-tests`
sees to that.
"""

import json
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tour import Failed, check, take

TOP = {
    "hfdl", "install.sh", "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY.md", "hfdl.cdx.json", "completions",
    "man", "cron-examples",
}


def run(*command, cwd=None, **environment):
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )
    check(done.returncode == 0, f"`{' '.join(map(str, command))}` exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def is_static(program):
    """Whether the program header names no interpreter (ELF, 64 bits, little endian)."""
    data = program.read_bytes()
    check(data[:6] == b"\x7fELF\x02\x01", f"{program} is no ELF program")
    (offset,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    return all(struct.unpack_from("<I", data, offset + size * at)[0] != 3 for at in range(count))


def archive_is_plain(package):
    """Nothing in the archive is of a user or a time of the machine that made it."""
    with tarfile.open(package) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    check(names == sorted(names), "names are sorted")
    check(len({member.mtime for member in members}) == 1, "everything has one time")
    owners = {(member.uid, member.gid, member.uname, member.gname) for member in members}
    check(owners == {(0, 0, "", "")}, f"owners are {owners}")
    check({member.mode for member in members} == {0o755, 0o644}, "files are 755 or 644")


def documents(folder, version):
    bill = json.loads((folder / "hfdl.cdx.json").read_text())
    check(bill["metadata"]["component"]["version"] == version, "the bill is of this version")
    licences = (folder / "THIRD-PARTY.md").read_text()
    for component in bill["components"]:
        if component["name"] != "sqlite":
            row = f"| {component['name']} {component['version']} |"
            check(row in licences, f"THIRD-PARTY.md lacks {row}")
    numbers = {int(number) for row in re.findall(r"\|([ \d,]+)\|$", licences, re.M) for number in row.split(",")}
    check(numbers == set(range(1, licences.count("\n## Text ") + 1)), "rows and texts of THIRD-PARTY.md agree")
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        print("the library of CycloneDX is missing: hfdl.cdx.json is not held against its schema")
        return
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill))
    check(fault is None, f"hfdl.cdx.json is not valid: {fault.data if fault else ''}")


def shells_and_pages(prefix):
    share = prefix / "share"
    run("bash", "-c", f". '{share}/bash-completion/completions/hfdl' && complete -p hfdl")
    for name in ("zsh/site-functions/_hfdl", "fish/vendor_completions.d/hfdl.fish"):
        check((share / name).stat().st_size > 100, f"{name} is there")
    for page in ("man1/hfdl.1", "man1/hfdl-download.1", "man7/hfdl-tutorial.7"):
        check(".TH" in (share / "man" / page).read_text(), f"{page} is a manual page")


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    name = package.name.removesuffix(".tar.gz")
    version, target = re.fullmatch(r"hfdl-([0-9.]+)-(.+)", name).groups()
    run("sha256sum", "--check", "--strict", "--ignore-missing", "SHA256SUMS", cwd=package.parent)
    check(f"  {package.name}\n" in (package.parent / "SHA256SUMS").read_text(), "SHA256SUMS names the package")
    archive_is_plain(package)
    with tempfile.TemporaryDirectory(prefix="hfdl tarball ") as place:
        place = Path(place)
        run("tar", "xzf", package, cwd=place)
        folder = place / name
        check({path.name for path in folder.iterdir()} == TOP, f"the package has {sorted(folder.iterdir())}")
        check(is_static(folder / "hfdl") == ("musl" in target), "a program for musl is static, others are not")
        if "musl" in target:
            # Cargo's folder is mapped to a short name, wherever it was.
            check(b"/registry/src/" not in (folder / "hfdl").read_bytes(), "no path of the machine is in the program")
        documents(folder, version)
        prefix = place / "prefix"
        run("sh", folder / "install.sh", "--prefix", prefix, HOME=str(place))
        check((prefix / "bin/hfdl").read_bytes() == (folder / "hfdl").read_bytes(), "the program is installed")
        installed, packed = prefix / "share/man", folder / "man"
        check(files(installed) == files(packed), "the program writes the pages that are in the package")
        shells_and_pages(prefix)
        take(hub, [prefix / "bin/hfdl"])
        run("sh", folder / "install.sh", "--prefix", prefix, "--uninstall", HOME=str(place))
        check(files(prefix) == [], f"left behind: {files(prefix)}")
        check({path.name for path in place.iterdir()} == {name, "prefix"}, "nothing is written elsewhere")
    print(f"{package.name}: installed, toured and removed")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
