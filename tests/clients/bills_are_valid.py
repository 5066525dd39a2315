"""Shows that bills of material, checksums and lock files are what other programs expect.

The official library of CycloneDX validates each bill strictly by its schema, the library of package
URLs reads each purl, `sha256sum --check` reads each file of checksums, and a lock file reproduces in
another home what it was made from.

Start it through `tests/clients/run`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from hub_program import Hub, write
from official_client import Failed, check


def card(licence):
    return f"---\n{licence}\n---\n# A card\n".encode()


REPOS = {
    ("model", "acme/Tiny"): {
        "README.md": card("license: apache-2.0"),
        "config.json": b"{}\n",
        "model.bin": os.urandom(1 << 20),
    },
    ("model", "acme/odd"): {
        "README.md": card("license: other\nlicense_name: acme-1\nlicense_link: LICENSE"),
        **{name: b"x" * (n + 1) for n, name in enumerate((
            "a b.txt", "#1 [50%] {x}?&=+;,@!$'()~.txt", '"quoted".txt', "na\u00efve/gr\u00fc\u00dfe.txt",
            "\U0001f917.txt", "-rf.txt",
        ))},
    },
    ("model", "acme/two"): {"README.md": card("license: [mit, gpl-3.0]")},
    ("model", "acme/bare"): {"weights.bin": b"no card"},
    ("dataset", "acme/rows"): {"README.md": card("license: cc-by-4.0"), "rows.json": b"[]"},
}


class Home:
    """The program `hfdl` in a home of its own."""

    def __init__(self, program, endpoint, place):
        self.program = str(program.resolve())
        self.place = place
        place.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "HFDL_HOME": str(place / "state"),
            "HF_HOME": str(place / "hf"),
            "HF_ENDPOINT": endpoint,
            "HFDL_DISK_RESERVE": "0",
        }

    def hfdl(self, *words):
        done = subprocess.run(
            [self.program, *map(str, words)],
            env=self.environment, cwd=self.place, capture_output=True, text=True, timeout=300,
        )
        if done.returncode != 0:
            raise Failed(f"`hfdl {' '.join(map(str, words))}`: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def bills(home):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    today = home.hfdl("sbom")
    past = home.hfdl("sbom", "--at", "2026-01-01T00:00:00Z")
    for name, bill in (("of today", today), ("of a day before anything was kept", past)):
        fault = validator.validate_str(bill)
        check(fault is None, f"the bill {name} is valid{f': {fault.data}' if fault else ''}")
    components = json.loads(today)["components"]
    check(len(components) == len(REPOS), "each repository is a component")
    for component in components:
        purl = PackageURL.from_string(component["purl"])
        kind, namespace = ("dataset", "datasets/acme") if component["type"] == "data" else ("model", "acme")
        expected = ("huggingface", namespace, component["name"], component["version"])
        check((purl.type, purl.namespace, purl.name, purl.version) == expected, f"{component['purl']} is a purl")
        files = REPOS[kind, f"{component['group']}/{component['name']}"]
        check({file["name"] for file in component["components"]} == set(files), "with all of its files")
        check(all(file["hashes"] for file in component["components"]), "and their hashes")


def checksums(home):
    for (_, repo) in REPOS:
        folder = home.place / "files" / repo.split("/")[1]
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder,
            capture_output=True, text=True,
        )
        check(done.returncode == 0, f"sha256sum checks {repo}{done.stdout}{done.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", required=True, type=Path, help="the program `hfdl-test-hub`")
    parser.add_argument("--hfdl", required=True, type=Path, help="the program `hfdl`")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bills-are-valid-"))
    root = scratch / "published"
    for (kind, repo), files in REPOS.items():
        write(root, kind, repo, "main", files)
    try:
        with Hub(options.hub, root, scratch) as hub:
            home = Home(options.hfdl, hub.url, scratch / "home")
            for kind, repo in REPOS:
                name = repo if kind == "model" else f"{kind}s/{repo}"
                place = home.place / "files" / repo.split("/")[1]
                home.hfdl("models", "add", name, "--to", place, "--checksums")
            home.hfdl("download", "--all")
            bills(home)
            checksums(home)
            home.hfdl("lock")
            other = Home(options.hfdl, hub.url, scratch / "other")
            (other.place / "hfdl.yaml").write_text(home.hfdl("export").replace(str(home.place), str(other.place)))
            shutil.copy(home.place / "hfdl.lock", other.place)
            other.hfdl("apply", "-f", "hfdl.yaml", "--locked")
            other.hfdl("download", "--all")
            other.hfdl("lock", "--check")
            check(True, "another home has the same files by the lock file")
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}\nall files are in {scratch}", file=sys.stderr)
        return 1
    shutil.rmtree(scratch)
    print("bills, checksums and lock files are valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
