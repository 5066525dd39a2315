#!/usr/bin/env python3
"""Holds the manifests of Homebrew, winget and Scoop, and the metadata of cargo-binstall, against their rules.

Usage: manifests.py [--schemas FOLDER]

The packages are empty files with the names of a release. `ruby` reads the formula; ruby's own checks of
Homebrew need Homebrew. FOLDER has the official schemas, where somebody has fetched them: `winget-KIND.json`
for version, installer and defaultLocale, and `scoop.json`. Needs PyYAML and jsonschema.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import jsonschema
import yaml

from tour import Failed, check

ROOT = Path(__file__).resolve().parents[2]
FACTS = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
REPOSITORY = FACTS["repository"]
TARGETS = {
    "aarch64-apple-darwin": ".tar.gz",
    "x86_64-apple-darwin": ".tar.gz",
    "aarch64-unknown-linux-musl": ".tar.gz",
    "x86_64-unknown-linux-musl": ".tar.gz",
    "x86_64-pc-windows-msvc": ".zip",
}
# The patterns of the official schemas, for where these are not at hand.
IDENTIFIER = r"[^\s\\/:*?\"<>|.]{1,32}(\.[^\s\\/:*?\"<>|.]{1,32}){1,7}"


def manifests(out, *wrong):
    """Runs the recipe and returns the text of each file."""
    done = subprocess.run(
        ["bash", ROOT / "scripts/package", "manifests", "--out", out, *wrong],
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}, capture_output=True, text=True,
    )
    check(done.returncode == 0, f"scripts/package manifests: {done.stderr}")
    return {Path(line).name: Path(line).read_text() for line in done.stdout.split()}


def formula(text, release):
    done = subprocess.run(["ruby", "-wc"], input=text, capture_output=True, text=True)
    check(done.returncode == 0 and "warn" not in done.stderr, f"ruby -wc: {done.stdout}{done.stderr}")
    pairs = re.findall(r'url "(.+)"\n +sha256 "(.+)"', text)
    tars = [name for name in release if name.endswith(".tar.gz")]
    check(dict(pairs) == {address(name): release[name] for name in tars}, f"the formula names {pairs}")
    # `brew audit` wants 80 characters with the name of the formula, and no article in front.
    (short,) = re.findall(r'desc "(.+)"', text)
    check(len("hfdl: " + short) <= 80 and not re.match(r"(?i)(an?|the|hfdl)\b", short), f"desc: {short}")


def address(name):
    version = name.split("-")[1]
    return f"{REPOSITORY}/releases/download/v{version}/{name}"


def windows(texts, release, schemas):
    (package,) = [name for name in release if name.endswith(".zip")]
    scoop = json.loads(texts["hfdl.json"])
    (bits,) = scoop["architecture"].values()
    check((bits["url"], bits["hash"]) == (address(package), release[package]), "Scoop has address and checksum")
    future = scoop["autoupdate"]["architecture"]["64bit"]["url"]
    check(future.replace("$version", scoop["version"]) == bits["url"], "the next version has the same address")
    documents = {}
    for name, text in texts.items():
        if name.endswith(".yaml"):
            document = yaml.safe_load(text)
            documents[document["ManifestType"]] = document
            check(re.fullmatch(IDENTIFIER, document["PackageIdentifier"]), f"{name} has an identifier")
            check(document["PackageVersion"] == scoop["version"], f"{name} has the version as text")
            check(f"manifest.{document['ManifestType']}.{document['ManifestVersion']}." in text, f"{name} names its schema")
    check(set(documents) == {"version", "installer", "defaultLocale"}, f"winget has {set(documents)}")
    (one,) = documents["installer"]["Installers"]
    check(one["InstallerUrl"] == address(package), "winget has the address")
    check(one["InstallerSha256"] == release[package].upper(), "winget has the checksum")
    check(len(documents["defaultLocale"]["ShortDescription"]) <= 256, "the description is short")
    check(FACTS["authors"][0].startswith(f"{documents['defaultLocale']['Publisher']} <"), "the packager is the publisher")
    if schemas:
        jsonschema.Draft7Validator(json.loads((schemas / "scoop.json").read_text())).validate(scoop)
        for kind, document in documents.items():
            schema = json.loads((schemas / f"winget-{kind}.json").read_text())
            jsonschema.Draft7Validator(schema).validate(document)
            check(f".{kind}.{document['ManifestVersion']}.".lower() in schema["$id"].lower(), "that version of the schema")
        print("the official schemas accept the manifests")


def binstall(version, release):
    """The metadata gives the address and the program of each package, with the variables of cargo-binstall."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    (package,) = [one for one in metadata["packages"] if one["name"] == "hfdl"]
    rules = package["metadata"]["binstall"]
    for target, ending in TARGETS.items():
        mine = rules | rules["overrides"].get(target, {})
        values = {
            "repo": REPOSITORY, "version": version, "target": target, "bin": "hfdl",
            "archive-suffix": {"tgz": ".tar.gz", "zip": ".zip"}[mine["pkg-fmt"]],
            "binary-ext": ".exe" if "windows" in target else "",
        }
        url, program = (re.sub(r"\{ (.+?) \}", lambda found: values[found[1]], mine[key]) for key in ("pkg-url", "bin-dir"))
        name = f"hfdl-{version}-{target}{ending}"
        check(url == address(name) and name in release, f"cargo-binstall would fetch {url}")
        check(program == f"hfdl-{version}-{target}/hfdl{values['binary-ext']}", f"and take {program}")
    # cargo-binstall misses no program that has required features, and hfdlw is for Windows alone.
    optional = {target["name"]: target.get("required-features") for target in package["targets"] if "bin" in target["kind"]}
    check(optional["hfdlw"] and not optional.get("hfdl"), "hfdlw may be missing, hfdl may not")


def one_place():
    """A new address of the repository or of the packager is one changed line."""
    for fact in (REPOSITORY, *FACTS["authors"]):
        found = subprocess.run(["git", "grep", "-lF", fact], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        check(found == "Cargo.toml\n", f"only Cargo.toml has {fact}: {found}")


def main():
    schemas = Path(sys.argv[2]) if sys.argv[1:2] == ["--schemas"] else None
    version = FACTS["version"]
    with tempfile.TemporaryDirectory(prefix="hfdl-manifests-") as out:
        release = {f"hfdl-{version}-{target}{ending}": "" for target, ending in TARGETS.items()}
        for name in release:
            release[name] = hashlib.sha256(name.encode()).hexdigest()
        lines = [f"{digest}  {name}\n" for name, digest in release.items()]
        Path(out, "SHA256SUMS").write_text("".join(lines))
        texts = manifests(out)
        check(len(texts) == 5, f"there are {sorted(texts)}")
        formula(texts["hfdl.rb"], release)
        windows(texts, release, schemas)
        binstall(version, release)
        one_place()
        # A release without Windows has no manifests for it, and none that name a missing package.
        Path(out, "SHA256SUMS").write_text("".join(line for line in lines if "linux-musl" in line))
        texts = manifests(out)
        check(list(texts) == ["hfdl.rb"] and "macos" not in texts["hfdl.rb"], f"without Windows: {sorted(texts)}")
    print("formula, manifests and metadata agree with SHA256SUMS")


if __name__ == "__main__":
    try:
        main()
    except (Failed, jsonschema.ValidationError) as failure:
        sys.exit(f"FAILED: {failure}")
