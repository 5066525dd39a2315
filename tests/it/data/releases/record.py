#!/usr/bin/env python3
"""Records the home and the cache of a release, for the test of upgrades in tests/it/releases.rs.

Usage: record.py PROGRAM HUB

PROGRAM is the `hfdl` of the release, HUB a `hfdl-test-hub`. The result is VERSION.json in this
folder: the database as SQL, each file of the home and of the cache as text, each symbolic link.
@ROOT@, @HUB@, @HOST@ and the commits @FIRST@, @SECOND@ and @TABLE@ stand for words that the test puts in.
"""

import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

LINES = [
    "models add acme/notes --tag text --keep-revisions 3",
    "models add datasets/acme/table --include data/*",
    "models add acme/notes --name copy --to {root}/copy",
    "schedules add nightly --daily 02:30 --window 22:00-07:00 --tag text",
    "schedules add often --every 6h --all",
    "config set disk.reserve 1M",
    # Version 0.1.0 had no ticks.
    "download --all",
    "run-due",
    "PUBLISH",
    "download --all",
]


def write_repositories(at, weights):
    for path, text in {
        "models/acme/notes/main/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "models/acme/notes/main/config.json": "{}\n",
        "models/acme/notes/main/weights.bin": weights,
        "datasets/acme/table/main/README.md": "A table\n",
        "datasets/acme/table/main/data/rows.csv": "name,size\n" * 100,
    }.items():
        file = at / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def commit_of(hub, repository):
    with urllib.request.urlopen(f"{hub}/api/{repository}/revision/main") as answer:
        return json.load(answer)["sha"]


def dump(database):
    with sqlite3.connect(database) as connection:
        lines = list(connection.iterdump())
        for pragma in ("user_version", "application_id"):
            (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
            lines.append(f"PRAGMA {pragma} = {value};")
    return "\n".join(lines) + "\n"


def record(program, hub_program, root):
    served = root / "served"
    write_repositories(served, "weights of the first version\n" * 50)
    ready = root / "url"
    hub_process = subprocess.Popen(
        [hub_program, "--dir", served, "--ready-file", ready],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not ready.exists() or not ready.read_text().strip():
            time.sleep(0.05)
        hub = ready.read_text().strip()
        environment = {
            "HOME": str(root / "user"),
            "HFDL_HOME": str(root / "state"),
            "HF_HUB_CACHE": str(root / "hub"),
            "HF_ENDPOINT": hub,
            "TZ": "UTC",
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1",
            "HFDL_TEST_NOW": "2026-03-01T09:00:00Z",
        }
        (root / "user").mkdir()
        names = {"@TABLE@": commit_of(hub, "datasets/acme/table"), "@FIRST@": commit_of(hub, "models/acme/notes")}
        commands = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
        for line in LINES:
            if line == "PUBLISH":
                write_repositories(served, "weights of the second version\n" * 50)
                urllib.request.urlopen(urllib.request.Request(f"{hub}/__hub__/publish", method="POST")).close()
                names["@SECOND@"] = commit_of(hub, "models/acme/notes")
                continue
            words = line.format(root=root).split(" ")
            if words == ["run-due"] and " run-due " not in commands:
                continue
            subprocess.run([program, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    finally:
        hub_process.kill()
        hub_process.wait()
    names.update({"@ROOT@": str(root), "@HUB@": hub, "@HOST@": socket.gethostname()})
    return version.split()[1], names


def describe(root, names):
    def plain(text):
        for placeholder, value in names.items():
            text = text.replace(value, placeholder)
        return text

    files, links = {}, {}
    for folder in ("state", "hub", "copy"):
        for path in sorted((root / folder).rglob("*")):
            name = plain(str(path.relative_to(root)))
            if path.is_symlink():
                links[name] = plain(os.readlink(path))
            elif path.is_file() and path.suffix != ".log" and not path.name.startswith(("hfdl.db", "status.")):
                files[name] = plain(path.read_text())
    return {"database": plain(dump(root / "state/hfdl.db")).splitlines(), "files": files, "links": links}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    root = pathlib.Path(tempfile.mkdtemp(prefix="hfdl-release-")).resolve()
    try:
        version, names = record(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), root)
        result = pathlib.Path(__file__).parent / f"{version}.json"
        result.write_text(json.dumps(describe(root, names), indent=1, ensure_ascii=False) + "\n")
    finally:
        shutil.rmtree(root)
    print(result)


if __name__ == "__main__":
    main()
