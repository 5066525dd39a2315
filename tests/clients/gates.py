"""Shows that the gates of cron-examples hold what they are to hold, with the real scanners and llama.cpp.

For each gate a clean revision is published, a bad one is held with the scanner's own words, and the
next clean one is published. Start it through `tests/clients/gates`.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from hub_program import Hub, write
from official_client import Client, Failed, check
from tiny_llama import tiny_llama

EXAMPLES = Path(__file__).resolve().parents[2] / "cron-examples"
LFS = b"*.gguf filter=lfs\n*.bin filter=lfs\n*.pkl filter=lfs\n"


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("echo this must never run",)


def pickled(name, value):
    return lambda seed: {name: pickle.dumps([seed, value], protocol=2), "config.json": b"{}"}


def without_weights(seed):
    return {"config.json": b"{}", "notes.txt": f"{seed}\n".encode()}


def loadable(seed):
    return {"tiny-Q8_0.gguf": tiny_llama(seed)}


def broken(seed):
    content = bytearray(tiny_llama(seed))
    return {"tiny-Q8_0.gguf": bytes(content[: len(content) // 2])}


def gates(python):
    folder = Path(python).parent
    scripts = {name: str(EXAMPLES / name) for name in ("gate-picklescan.sh", "gate-modelscan.sh")}
    smoke = json.dumps([str(python), str(EXAMPLES / "gate-smoke-test.py")])
    good, evil = pickled("weights/pytorch_model.bin", "weights"), pickled("weights/pytorch_model.bin", Evil())
    picklescan = {"PICKLESCAN": folder / "picklescan"}
    modelscan = {"MODELSCAN": folder / "modelscan"}
    return [
        ("picklescan", scripts["gate-picklescan.sh"], good, evil, "dangerous import", picklescan),
        (
            "modelscan",
            scripts["gate-modelscan.sh"],
            pickled("weights/model.pkl", "weights"),
            pickled("weights/model.pkl", Evil()),
            "system",
            modelscan,
        ),
        # It takes a bare pickle for one only by its name.
        (
            "modelscan, a pickle by another name",
            scripts["gate-modelscan.sh"],
            without_weights,
            evil,
            "cannot read",
            modelscan,
        ),
        ("the server of llama.cpp", smoke, loadable, broken, "tiny-Q8_0.gguf", {}),
    ]


def judge(options, gate, scratch):
    name, command, good, bad, words, environment = gate
    files = Path(scratch) / "hub-files"

    def change(make, seed):
        write(files, "model", "acme/model", "main", {".gitattributes": LFS} | make(seed))

    change(good, 1)
    with Hub(options.hub, files, scratch) as hub:
        client = Client("hf", hub.url, Path(scratch) / "home")
        variables = client.environment | {key: str(value) for key, value in environment.items()}
        variables |= {"HFDL_HOME": str(Path(scratch) / "state"), "HFDL_DISK_RESERVE": "0"}
        # The gate is judged alone.
        variables |= {"HF_HUB_CACHE": str(client.cache), "HFDL_UPDATE_GUARDS": "off"}

        def hfdl(*line):
            done = subprocess.run([options.hfdl, *line], env=variables, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                raise Failed(f"`hfdl {' '.join(line)}` exited {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        def update():
            (session,) = json.loads(hfdl("download", "acme/model", "--json"))["sessions"]
            return session["outcome"], session["error"]

        def ref():
            return (client.cache / "models--acme--model/refs/main").read_text()

        hfdl("models", "add", "acme/model")
        hfdl("config", "set", "hooks.gate", command)
        found = update()
        check(found == ("updated", None), f"{name}: a clean revision is published: {found}")
        old = ref()
        change(bad, 2)
        hub.publish()
        outcome, error = update()
        check(outcome == "held" and words in error, f"{name}: a bad one is held: {error}")
        check(ref() == old, f"{name}: readers have the old one")
        change(good, 3)
        hub.publish()
        found = update()
        check(found == ("updated", None) and ref() != old, f"{name}: the next clean one is published")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hub", required=True)
    parser.add_argument("--hfdl", required=True)
    options = parser.parse_args()
    for gate in gates(sys.executable):
        with tempfile.TemporaryDirectory() as scratch:
            judge(options, gate, scratch)


if __name__ == "__main__":
    try:
        main()
    except Failed as problem:
        sys.exit(f"FAILED: {problem}")
