#!/usr/bin/env python3
"""Installs a wheel into a new virtual environment, takes the tour with it, and uninstalls it.

Usage: wheel.py PACKAGE HFDL_TEST_HUB [SOURCE_ARCHIVE]

Runs under a Python whose environment has auditwheel, twine and uv.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tarball import files, is_static, run, shells_and_pages
from tour import Failed, check, take

# As installed: a link to the Python below it would lead out of the environment.
TOOLS = Path(sys.executable).parent


def platform_is_true(package, program):
    """The tag in the name of the file is the one that the needs of the program allow."""
    tag = package.stem.split("-")[-1]
    if is_static(program):
        check("musllinux" in tag and "manylinux" in tag, f"a static program runs everywhere, and not just on {tag}")
    else:
        shown = " ".join(run(TOOLS / "auditwheel", "show", package).split())
        check(f'platform tag: "{tag}"' in shown, f"{tag} is what auditwheel finds: {shown}")


def source_is_whole(archive, version):
    """The source archive has what maturin and cargo need."""
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        project = opened.extractfile(f"hfdl_cli-{version}/pyproject.toml").read().decode()
    for name in ("PKG-INFO", "Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "src/main.rs", "tests/hub/package/Cargo.toml"):
        check(f"hfdl_cli-{version}/{name}" in names, f"{name} is in {archive}")
    check('bindings = "bin"' in project and 'build-backend = "maturin"' in project, "maturin builds the program")


def without_caches(folder):
    return [name for name in files(folder) if "__pycache__" not in name]


def main():
    package, hub = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    sources = [Path(name).resolve() for name in sys.argv[3:]]
    version = re.match(r"hfdl_cli-([0-9.]+)-py3-none-", package.name)[1]
    run(TOOLS / "twine", "check", "--strict", package, *sources)
    for source in sources:
        source_is_whole(source, version)
    with tempfile.TemporaryDirectory(prefix="hfdl wheel ") as place:
        venv = Path(place, "an environment")
        run(sys.executable, "-m", "venv", venv)
        before = without_caches(venv)
        pip = [venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        # Without the network: the wheel needs no other package.
        run(*pip, "install", "--no-index", package)
        run(*pip, "check")
        program = venv / "bin/hfdl"
        check(run(program, "--version").strip() == f"hfdl {version}", "the command is hfdl, of this version")
        platform_is_true(package, program)
        shells_and_pages(venv)
        info = next(venv.glob("lib/*/site-packages/hfdl_cli-*.dist-info"))
        for name in ("licenses/LICENSE", "licenses/THIRD-PARTY.md", "sboms/hfdl.cdx.json"):
            check((info / name).exists(), f"{name} is installed")
        take(hub, [program])
        run(*pip, "uninstall", "--yes", "hfdl-cli")
        check(without_caches(venv) == before, "uninstalling leaves nothing")
        own = {"UV_CACHE_DIR": f"{place}/uv", "HOME": place, "UV_PYTHON_DOWNLOADS": "never"}
        uvx = [TOOLS / "uvx", "--offline", "--python", sys.executable, "--from", package]
        check(run(*uvx, "hfdl", "--version", **own).strip() == f"hfdl {version}", "uvx runs it from the file")
    print(f"{package.name}: installed, toured and removed; uvx runs it")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED: {failure}")
