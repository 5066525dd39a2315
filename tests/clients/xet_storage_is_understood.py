"""Shows that hfdl updates from Hugging Face's own Xet storage server, filled by its own uploader.

`local_cas_server` holds what `hf_xet` uploads; the test hub in front of it gives the listing and sends
clients there. hfdl downloads, then updates twice by delta, with the second form of the storage's API and
with the first, and what it has is compared byte for byte and verified. With each form it also updates to a
file that was uploaded before the older one, so that the storage must tell where its chunks begin.

Start it through `tests/clients/run-xet`.
"""

import argparse
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from hfdl_program import Hfdl
from hub_program import Hub, write
from official_client import Client, Failed, check, same_files

MIB = 1024 * 1024

UPLOAD = """
import sys, time
import hf_xet
url, *paths = sys.argv[1:]
for info in hf_xet.upload_files(paths, url, ("a-token", int(time.time()) + 3600), None, None, None):
    print(info.hash)
"""


class Storage:
    """The official server on a free port, for as long as the `with` block lasts."""

    def __init__(self, program, scratch):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.command = [str(program), "--data-directory", str(scratch / "cas"), "--port", str(port)]
        self.log = scratch / "cas.log"

    def __enter__(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the storage did not start: {self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}/health").status == 200
        except OSError:
            return False

    def configure(self, name, value):
        url = f"{self.url}/simulation/set_config?config={name}&value={value}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"))

    def upload(self, client, files, folder):
        """Uploads {path: bytes} with the official uploader; returns their hashes."""
        folder.mkdir(parents=True)
        paths = []
        for number, content in enumerate(files.values()):
            paths.append(folder / str(number))
            paths[-1].write_bytes(content)
        python = Path(client.hf).with_name("python")
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", UPLOAD, self.url, *map(str, paths)],
            env=client.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            raise Failed(f"the official uploader refused: {done.stderr}")
        return dict(zip(files, done.stdout.split()))


def edited(content, noise):
    """Replaces some bytes, puts some in, takes some out."""
    new = bytearray(content)
    new[5 * MIB : 5 * MIB + 100_000] = noise.randbytes(100_000)
    new[10 * MIB : 10 * MIB] = noise.randbytes(12_345)
    del new[15 * MIB : 15 * MIB + 777]
    return bytes(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True, help="the program local_cas_server")
    parser.add_argument("--hub", required=True, help="the program hfdl-test-hub")
    parser.add_argument("--hf", required=True, help="the official command")
    parser.add_argument("--hfdl", required=True, help="the program hfdl")
    chosen = parser.parse_args()
    noise = random.Random(5)
    first = noise.randbytes(20 * MIB)
    revisions = [first]
    for _ in range(2):
        revisions.append(edited(revisions[-1], noise))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        root = scratch / "published"
        with Storage(chosen.storage, scratch) as storage:
            write(root, "model", "acme/large", "main", {"config.json": b"{}", "model.safetensors": first})
            with Hub(chosen.hub, root, scratch, "--cas-url", storage.url) as hub:
                way_back_is_short(chosen, hub, storage, "in the second form", root, scratch)
                updates_are_right(chosen, hub, storage, revisions, root, scratch)
                # The second form has been switched off meanwhile.
                way_back_is_short(chosen, hub, storage, "in the first form", root, scratch)
    return 0


def way_back_is_short(chosen, hub, storage, form, root, scratch):
    home = scratch / form.replace(" ", "-")
    client = Client(chosen.hf, hub.url, home)
    client.environment["HF_HUB_DISABLE_XET"] = "0"
    hfdl = Hfdl(chosen.hfdl, client, home / "state")
    hfdl.environment["HFDL_DISK_RESERVE"] = "0"
    noise = random.Random(form)
    newer = noise.randbytes(20 * MIB)
    older = bytearray(newer)
    for place in range(1, 6):
        at = place * len(newer) // 6
        older[at : at + 1000] = noise.randbytes(1000)
    for number, content in enumerate((newer, bytes(older))):
        storage.upload(client, {"model.safetensors": content}, home / f"upload-{number}")
    for content in (bytes(older), newer):
        files = {"model.safetensors": content}
        write(root, "model", "acme/back", "main", files)
        hub.publish()
        session = hfdl.download("acme/back")
        same_files(files, session["path"], f"the way back {form}")
    fetched, total = session["bytes"]["fetched"], session["bytes"]["total"]
    check(fetched < total / 15, f"the way back {form}: {fetched} of {total} bytes were fetched")


def updates_are_right(chosen, hub, storage, revisions, root, scratch):
    client = Client(chosen.hf, hub.url, scratch / "home")
    client.environment["HF_HUB_DISABLE_XET"] = "0"
    hfdl = Hfdl(chosen.hfdl, client, scratch / "state")
    hfdl.environment["HFDL_DISK_RESERVE"] = "0"
    for number, content in enumerate(revisions):
        files = {"config.json": b"{}", "model.safetensors": content}
        hashes = storage.upload(client, {"model.safetensors": content}, scratch / f"upload-{number}")
        write(root, "model", "acme/large", "main", files)
        hub.publish()
        what = f"revision {number + 1}"
        if number == 2:
            storage.configure("disable_v2_endpoints", "404")
            what += " in the first form"
        session = hfdl.download("acme/large")
        same_files(files, session["path"], f"{what} from the official storage")
        listing = urllib.request.urlopen(f"{hub.url}/api/models/acme/large/tree/main").read().decode()
        check(hashes["model.safetensors"] in listing, f"{what} has the hash that the uploader gave it")
        fetched, total = session["bytes"]["fetched"], session["bytes"]["total"]
        if number > 0:
            check(fetched < total / 10, f"{what}: {fetched} of {total} bytes were fetched")
            check(session["bytes"]["reused"] + fetched == total, f"{what}: the rest was reused")
        client.verifies("model", "acme/large")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"FAILED: {failure}")
