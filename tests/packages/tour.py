#!/usr/bin/env python3
"""Takes an installed `hfdl` through its main job, against the test hub on 127.0.0.1.

Usage: tour.py [--home DIR] [--inside DIR] HFDL_TEST_HUB COMMAND...

COMMAND starts the installed program: a path, or a wrapper as `chroot ROOT hfdl`. It gets an environment
of its own. DIR of --home is new and holds everything that is written (default: a temporary folder, which
is removed); --inside is the name of that folder as COMMAND sees it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


class Failed(Exception):
    pass


def check(holds, text):
    if not holds:
        raise Failed(text)


class Hub:
    """The test hub with its demonstration, for as long as the `with` block lasts."""

    def __init__(self, program, *options):
        self.command = [str(program), "--demo", *options]

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="hfdl-tour-hub-")
        ready, log = Path(self.folder.name, "ready"), Path(self.folder.name, "log")
        with log.open("w") as out:
            self.process = subprocess.Popen([*self.command, "--ready-file", str(ready)], stdout=out, stderr=out)
        deadline = time.monotonic() + 30
        while not (ready.exists() and ready.read_text().strip()):
            check(self.process.poll() is None and time.monotonic() < deadline, f"no hub: {log.read_text()}")
            time.sleep(0.05)
        self.url = ready.read_text().strip()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def publish(self):
        """Adds a revision to `acme/tiny`."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/__hub__/publish", method="POST")).read()

    def requests(self):
        return urllib.request.urlopen(f"{self.url}/__hub__/requests").read().decode().splitlines()


class Installed:
    """An installed program with an empty home."""

    def __init__(self, command, endpoint, inside, **environment):
        self.command = [str(word) for word in command]
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(inside),
            "HFDL_HOME": f"{inside}/state",
            "HF_HOME": f"{inside}/hf",
            "HF_ENDPOINT": endpoint,
            "HFDL_DISK_RESERVE": "0",
            "NO_PROXY": "127.0.0.1",
            **environment,
        }
        # A program for Windows needs a few of its variables.
        for name in ("SYSTEMROOT", "TEMP", "WINEPREFIX", "WINEDEBUG", "WINEDLLOVERRIDES"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def hfdl(self, *words, code=0):
        done = subprocess.run(
            [*self.command, *words], env=self.environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )
        said = f"`hfdl {' '.join(words)}` exited {done.returncode}\n{done.stdout}{done.stderr}"
        check(done.returncode == code, said)
        return done.stdout.strip()


def tour(installed, hub, home, inside):
    """Keeps a model, runs what is due, downloads twice, takes an update and goes back."""

    def content(folder):
        # Under Wine both have the backslashes of Windows.
        folder, base = (str(path).replace("\\", "/") for path in (folder, inside))
        path = Path(home) / os.path.relpath(folder, base)
        check((path / "model.safetensors").stat().st_size > 6_000_000, f"no whole model in {path}")
        return (path / "README.md").read_text()

    installed.hfdl("models", "add", "acme/tiny")
    installed.hfdl("schedules", "add", "often", "--every", "6h", "--all")
    # A tick as the timer would give: without any, the state is not healthy.
    installed.hfdl("run-due", "--trigger", "timer")
    status = json.loads(installed.hfdl("--json", "status"))
    check(status["healthy"] and status["last_run"]["outcome"] == "ok", f"unhealthy: {status}")
    first = installed.hfdl("download", "acme/tiny")
    check("Revision 1" in content(first), "the first revision is on disk")
    asked = len(hub.requests())
    check(installed.hfdl("download", "acme/tiny") == first, "the second download gives the same folder")
    check(len(hub.requests()) == asked + 1, "an unchanged model costs one request")
    hub.publish()
    second = installed.hfdl("download", "acme/tiny")
    check(second != first and "Revision 2" in content(second), "the update is on disk")
    installed.hfdl("models", "rollback", "acme/tiny")
    check(installed.hfdl("download", "acme/tiny") == first, "the rollback holds the first revision")
    check("Revision 1" in content(first), "and its files")


def take(hub_program, command, home=None, inside=None, **environment):
    """The whole tour. `home` is a folder here, `inside` the same folder as the program sees it."""
    with tempfile.TemporaryDirectory(prefix="hfdl-tour-") as folder, Hub(hub_program) as hub:
        home = home or folder
        inside = inside or home
        tour(Installed(command, hub.url, inside, **environment), hub, home, inside)


@contextlib.contextmanager
def slow_download(hub_program, command, environment):
    """A process that downloads a model on a slow line, for as long as the `with` block lasts."""
    with Hub(hub_program) as hub:
        urllib.request.urlopen(urllib.request.Request(f"{hub.url}/__hub__/fault?slow=200000", method="POST")).read()
        own = {"HF_ENDPOINT": hub.url, "HFDL_DISK_RESERVE": "0", "NO_PROXY": "127.0.0.1", **environment}
        words = [*map(str, command), "download", "acme/tiny"]
        process = subprocess.Popen(words, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 60
            while not any(line.startswith("cdn GET") for line in hub.requests()):
                check(process.poll() is None and time.monotonic() < deadline, "a download is in progress")
                time.sleep(0.1)
            yield process
        finally:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--inside", type=Path)
    parser.add_argument("hub", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        take(options.hub.resolve(), options.command, options.home, options.inside)
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
    print("the tour passed")


if __name__ == "__main__":
    main()
