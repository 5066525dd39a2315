#!/usr/bin/env python3
"""Judges a container image, and takes the tour in containers that runc runs, without a daemon. Needs root.

Usage: image.py PACKAGE HFDL_TEST_HUB
       image.py --run BUNDLE VOLUME [WORDS...]   one container, with the words as its command

skopeo reads the image in the ways of container engines and umoci unpacks it. A container has the network of this
machine, a root folder that it cannot write to, and a volume at /models. It belongs to the user 1000, as the
examples for Compose and Kubernetes want it.
"""

import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path

import yaml

from tarball import run
from tour import Failed, Hub, check, slow_download, take

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "cron-examples"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def contain(bundle, volume, words):
    """Becomes a container with a command; variables of this process for hfdl are its own."""
    config = json.loads((bundle / "config.json").read_text())
    own = [f"{name}={value}" for name, value in os.environ.items() if re.match(r"HF|NO_PROXY", name)]
    # The last one of two with a name counts.
    names = {line.split("=", 1)[0] for line in own}
    config["process"]["env"] = [line for line in config["process"]["env"] if line.split("=", 1)[0] not in names] + own
    if words:
        config["process"]["args"] = [config["process"]["args"][0], *words]
    config["process"]["terminal"] = False
    config["root"]["readonly"] = True
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "network"]
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in ("/models", "/tmp")] + [
        {"destination": "/models", "type": "bind", "source": str(volume), "options": ["rbind", "rw"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]},
    ]
    name = os.environ.get("TEST_CONTAINER", f"hfdl-{uuid.uuid4()}")
    one = bundle.parent / name
    one.mkdir()
    config["root"]["path"] = str(bundle / "rootfs")
    (one / "config.json").write_text(json.dumps(config))
    os.chdir(one)
    os.environ["PATH"] = PATH
    os.execvp("runc", ["runc", "run", name])


def blob(archive, descriptor):
    """The bytes of a descriptor, which have its hash and size."""
    content = archive.extractfile(descriptor["digest"].replace("sha256:", "blobs/sha256/")).read()
    check(f"sha256:{hashlib.sha256(content).hexdigest()}" == descriptor["digest"], f"the hash of {descriptor}")
    check(len(content) == descriptor["size"], f"the size of {descriptor}")
    return content


def configurations(package, version):
    """The configuration of each image, by architecture. All blobs and their links are read."""
    found = {}
    with tarfile.open(package) as archive:
        index = json.load(archive.extractfile("index.json"))
        tags = [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]]
        check(tags == [version, "latest"], f"the tags are {tags}")
        top = index["manifests"][0]
        content = json.loads(blob(archive, top))
        for descriptor in content.get("manifests", [top]):
            manifest = json.loads(blob(archive, descriptor))
            config = json.loads(blob(archive, manifest["config"]))
            (layer,) = manifest["layers"]
            with tarfile.open(fileobj=io.BytesIO(blob(archive, layer))) as files:
                owners = {one.name: (one.uid, one.gid, oct(one.mode)) for one in files}
            check(owners["models"] == (1000, 1000, "0o755") and owners["tmp"] == (0, 0, "0o1777"), f"{owners}")
            check({(uid, gid) for name, (uid, gid, _) in owners.items() if name != "models"} == {(0, 0)}, f"{owners}")
            check(config["architecture"] == descriptor["platform"]["architecture"], f"{descriptor}")
            found[config["architecture"]] = config["config"]
    return found


def fits_the_examples(config):
    """What the examples say of user, state, cache, volume and command is what the image has."""
    variables = dict(line.split("=", 1) for line in config["Env"])
    service = yaml.safe_load((EXAMPLES / "docker-compose.yml").read_text())["services"]["hfdl"]
    check(service["user"] == config["User"], "Compose starts the user of the image")
    check(shlex.split(service["command"]) == config["Cmd"], "Compose starts the command of the image")
    check(config["Entrypoint"] == ["/usr/bin/hfdl"], "words are a command of hfdl")
    (volume,) = config["Volumes"]
    check(service["volumes"] == [f"models:{volume}"], "Compose mounts the volume of the image")
    cron = yaml.safe_load((EXAMPLES / "kubernetes-cronjob.yaml").read_text())
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    check(config["User"] == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['fsGroup']}", "pods too")
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    check(volume in mounts, "a pod mounts the volume of the image")
    own = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    for name in ("HFDL_HOME", "HF_HOME"):
        check(variables[name] == service["environment"][name] == own[name], f"{name} is the same everywhere")


def is_stopped_by_a_signal(command, hub):
    """hfdl is process 1 of the container: SIGTERM ends it as a stop that saves the state."""
    name = f"hfdl-{uuid.uuid4()}"
    own = {"PATH": PATH, "HFDL_HOME": "/models/stopped", "HF_HOME": "/models/stopped", "TEST_CONTAINER": name}
    with slow_download(hub, command, own) as process:
        run("runc", "kill", name, "TERM", PATH=PATH)
        said, _ = process.communicate(timeout=60)
        check(process.returncode == 128 + signal.SIGTERM, f"exit {process.returncode}: {said.decode()}")


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    version = re.match(r"hfdl-([0-9.]+)-image", package.name)[1]
    configs = configurations(package, version)
    for config in configs.values():
        fits_the_examples(config)
    skopeo = ["skopeo", "--insecure-policy", "--override-os", "linux"]
    for architecture in configs:
        shown = json.loads(run(*skopeo, "--override-arch", architecture, "inspect", f"oci-archive:{package}:{version}"))
        check(shown["Architecture"] == architecture and shown["Labels"]["org.opencontainers.image.version"] == version, shown)
    # The form that `docker load` reads.
    run(*skopeo, "inspect", f"docker-archive:{package}:hfdl:{version}")
    if ARCHITECTURE not in configs:
        print(f"{package.name}: read; no image for the processor of this machine")
        return
    with tempfile.TemporaryDirectory(prefix="hfdl-image-") as place:
        place = Path(place)
        place.chmod(0o755)
        run(*skopeo, "copy", f"oci-archive:{package}:{version}", f"oci:{place}/layout:hfdl", HOME=str(place))
        run("umoci", "unpack", "--image", f"{place}/layout:hfdl", place / "bundle", PATH=PATH, HOME=str(place))
        volume = place / "models"
        volume.mkdir()
        shutil.chown(volume, 1000, 1000)
        command = [sys.executable, __file__, "--run", place / "bundle", volume]
        check(run(*command, "--version").strip() == f"hfdl {version}", "the version runs")
        take(hub, command, volume, Path("/models"), HF_HOME="/models/cache")
        with Hub(hub) as served:
            # The entry point of a timer, with the variables of the image alone.
            check(run(*command, HF_ENDPOINT=served.url) == "", "a tick with nothing due is silent")
        check((volume / "state/hfdl.db").stat().st_uid == 1000, "the state belongs to the user of the image")
        check((volume / "cache/hub/models--acme--tiny").is_dir(), "the cache is on the volume")
        is_stopped_by_a_signal(command, hub)
    print(f"{package.name}: read by skopeo, unpacked by umoci, toured in runc as the user 1000, stopped by SIGTERM")


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        contain(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
