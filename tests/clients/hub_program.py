"""The program `hfdl-test-hub` on a directory."""

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from official_client import Failed


class Hub:
    """The hub program on a directory, for as long as the `with` block lasts."""

    def __init__(self, program, directory, scratch, *options):
        self.command = [str(program), "--dir", str(directory), *options]
        self.ready = Path(scratch) / "ready"
        self.log = Path(scratch) / "hub.log"

    def __enter__(self):
        command = [*self.command, "--ready-file", str(self.ready)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the hub did not start: {self.log.read_text()}")
            time.sleep(0.05)
        self.url = self.ready.read_text().strip()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def publish(self):
        request = urllib.request.Request(f"{self.url}/__hub__/publish", method="POST")
        return urllib.request.urlopen(request).read().decode()

    def forget(self, commit):
        """Removes a commit, as after a rewritten history."""
        request = urllib.request.Request(f"{self.url}/__hub__/forget?commit={commit}", method="POST")
        return urllib.request.urlopen(request).read().decode()

    def requests(self):
        """Returns `PORT METHOD TARGET STATUS` of each request so far."""
        return urllib.request.urlopen(f"{self.url}/__hub__/requests").read().decode().splitlines()

    def error(self, path):
        """Returns status and error code of an anonymous request."""
        try:
            urllib.request.urlopen(self.url + path)
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers.get("X-Error-Code")
        raise Failed(f"{path} was not refused")


def write(root, kind, repo, revision, files):
    """Puts {path: bytes} where the hub finds it as that revision."""
    base = Path(root) / f"{kind}s" / repo / revision.replace("/", "%2F")
    shutil.rmtree(base, ignore_errors=True)
    for path, content in files.items():
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
