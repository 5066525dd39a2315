#!/usr/bin/env python3
"""Installs the zip for Windows, takes the tour with it, and uninstalls it.

Usage: windows.py PACKAGE HFDL_TEST_HUB

On Windows `install.ps1` does the work. Elsewhere its syntax is checked, where tree-sitter has the grammar,
and the programs run from the unpacked folder under Wine, which `scripts/with-wine` brings.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tour import Failed, check, slow_download, take

TOP = {
    "hfdl.exe", "hfdlw.exe", "install.ps1", "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY.md", "hfdl.cdx.json",
    "completions", "man", "cron-examples",
}
CONSOLE, WINDOWS = 3, 2


def subsystem(program):
    """The subsystem in the head of a program: only one for the console opens a console window."""
    data = program.read_bytes()
    (head,) = struct.unpack_from("<I", data, 0x3C)
    check(data[:2] == b"MZ" and data[head : head + 4] == b"PE\0\0", f"{program} is no program for Windows")
    (kind,) = struct.unpack_from("<H", data, head + 24 + 68)
    return kind


def archive_is_plain(package):
    with zipfile.ZipFile(package) as archive:
        entries = archive.infolist()
        check(archive.testzip() is None, "the archive is whole")
    names = [entry.filename for entry in entries]
    check(names == sorted(names) and not any("\\" in name for name in names), "names are sorted, with slashes")
    check(len({entry.date_time for entry in entries}) == 1, "everything has one time")


def check_syntax(script):
    try:
        from tree_sitter_language_pack import get_parser
    except ImportError:
        print("tree-sitter is missing: the syntax of install.ps1 is not checked")
        return
    text = script.read_bytes()
    check(text.isascii(), "Windows PowerShell reads a script without a mark in the machine's code page")
    check(not get_parser("powershell").parse(text).root_node.has_error, "install.ps1 has an error of syntax")


def powershell(script, *words):
    done = subprocess.run(
        ["powershell", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", str(script), *map(str, words)],
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )
    check(done.returncode == 0, f"{script.name} {words} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def user_path():
    import winreg

    with winreg.OpenKey(winreg.HKEY_CURRENT_USER, "Environment") as key:
        try:
            return winreg.QueryValueEx(key, "Path")
        except FileNotFoundError:
            return ("", winreg.REG_EXPAND_SZ)


def installed_by_powershell(folder, place, hub):
    prefix = place / "programs of a user"
    before = user_path()
    # Twice: the second time is an update.
    for _ in range(2):
        said = powershell(folder / "install.ps1", "-Prefix", prefix)
        check(str(prefix / "hfdl.exe") in said, f"the place is told: {said}")
    check(user_path()[0].split(";").count(str(prefix)) == 1, "PATH has the folder once")
    check((prefix / "completion.ps1").stat().st_size > 0, "there is a script for completion")
    take(hub, [prefix / "hfdl.exe"], USERPROFILE=str(place), LOCALAPPDATA=str(place))
    own = {**os.environ, "HFDL_HOME": str(place / "running"), "HF_HOME": str(place / "running")}
    with slow_download(hub, [prefix / "hfdl.exe"], own) as running:
        powershell(folder / "install.ps1", "-Prefix", prefix)
        check(running.poll() is None, "an update leaves a running program alone")
    powershell(folder / "install.ps1", "-Prefix", prefix, "-Uninstall")
    check(not prefix.exists(), "nothing is left behind")
    check(user_path()[0].rstrip(";") == before[0].rstrip(";"), "PATH is as before")


def toured_under_wine(folder, place, hub):
    home = place / "home"
    home.mkdir()
    # Wine shows the root of this machine as its drive Z.
    take(hub, [os.environ["WINE"], folder / "hfdl.exe"], home=home, inside=f"Z:{home}".replace("/", "\\"))


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    archive_is_plain(package)
    with tempfile.TemporaryDirectory(prefix="hfdl zip ", ignore_cleanup_errors=True) as place:
        place = Path(place).resolve()
        with zipfile.ZipFile(package) as archive:
            archive.extractall(place)
        folder = place / package.stem
        check({path.name for path in folder.iterdir()} == TOP, f"the package has {sorted(folder.iterdir())}")
        for name in ("hfdl.exe", "hfdlw.exe"):
            missing = re.findall(rb"(?i)(?:vcruntime|libgcc_s|libwinpthread)[\w-]*\.dll", (folder / name).read_bytes())
            check(missing == [], f"{name} needs libraries that no Windows has: {missing}")
        check(subsystem(folder / "hfdl.exe") == CONSOLE, "hfdl is a program for the console")
        check(subsystem(folder / "hfdlw.exe") == WINDOWS, "hfdlw opens no console")
        check_syntax(folder / "install.ps1")
        if os.name == "nt":
            installed_by_powershell(folder, place, hub)
        else:
            toured_under_wine(folder, place, hub)
    print(f"{package.name}: {'installed, toured and removed' if os.name == 'nt' else 'unpacked and toured under Wine'}")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
