"""Shows that the official client takes the test hub's Xet storage for the real one.

`hf` with `hf_xet` downloads large files through it: chunks that were stored, packed and grouped, a file
that is one chunk many times, and a second revision that shares most chunks with the first.

Start it through `tests/clients/run`.
"""

import argparse
import random
import struct
import sys
import tempfile
from pathlib import Path

from hub_program import Hub, write
from official_client import Client, Failed, check, same_files

MIB = 1024 * 1024


def published():
    """Returns the files of two revisions."""
    noise = random.Random(11)
    weights = noise.randbytes(9 * MIB)
    floats = b"".join(struct.pack("<f", 1 + noise.random()) for _ in range(MIB))
    first = {
        "README.md": b"# large\n",
        "model.safetensors": weights,
        "floats.bin": floats,
        "zeros.bin": bytes(5 * MIB),
        "words.bin": b"the same words again and again, " * 60_000,
    }
    changed = bytearray(weights)
    changed[3 * MIB : 3 * MIB + 1000] = noise.randbytes(1000)
    changed[6 * MIB : 6 * MIB] = noise.randbytes(12_345)
    return first, {**first, "model.safetensors": bytes(changed)}


def downloads_are_right(hf, hub, files, home):
    client = Client(hf, hub.url, home)
    client.environment["HF_HUB_DISABLE_XET"] = "0"
    before = len(hub.requests())
    snapshot = client.download("model", "acme/large")
    same_files(files, snapshot, f"acme/large through Xet, {home.name},")
    ports = {line.split()[0] for line in hub.requests()[before:]}
    check("cas" in ports, "the client asked the Xet storage")
    content = [line for line in hub.requests()[before:] if line.startswith("cdn GET /xet-bridge")]
    check(content == [], f"and nothing came by plain HTTP {content or ''}".strip())
    to_storage = [line for line in hub.requests()[before:] if not line.startswith("hub ")]
    bad = [line for line in to_storage if line.split()[-1] not in ("200", "206")]
    check(bad == [], f"the storage understood each of its requests {bad or ''}".strip())
    client.verifies("model", "acme/large")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hub", required=True, help="the program hfdl-test-hub")
    parser.add_argument("--hf", required=True, help="the official command")
    chosen = parser.parse_args()
    first, second = published()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        root = scratch / "published"
        write(root, "model", "acme/large", "main", first)
        with Hub(chosen.hub, root, scratch, "--xet") as hub:
            downloads_are_right(chosen.hf, hub, first, scratch / "first")
            write(root, "model", "acme/large", "main", second)
            hub.publish()
            downloads_are_right(chosen.hf, hub, second, scratch / "second")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"FAILED: {failure}")
