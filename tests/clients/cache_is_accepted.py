#!/usr/bin/env python3
"""Shows a cache that hfdl wrote to the official client, offline.

    cargo test --test it cache_accept
    python tests/clients/cache_is_accepted.py [MANIFEST]

Needs `huggingface_hub` (any version from 0.36 on). The manifest, by default the
one that the test above leaves in `target/tmp`, names a cache and a directory and
says which text each file must hold:

    {"cache": PATH,
     "repos": [{"repo_id", "repo_type", "revision", "commit", "files": {PATH: TEXT}}],
     "directory": {"path": PATH, "expected": {as one of the repos}}}

Exits 0 when the client accepts everything, 1 with the first thing it does not.
"""

import json
import os
import sys
from pathlib import Path

# Before the import: the client reads its environment once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import huggingface_hub
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache

try:
    from huggingface_hub._local_folder import read_download_metadata
except ImportError:
    read_download_metadata = None


def main() -> None:
    default = Path(__file__).parents[2] / "target" / "tmp" / "accept-manifest.json"
    manifest = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text())
    cache = manifest["cache"]
    for repo in manifest["repos"]:
        check_repo(cache, repo)
    check_scan(cache, manifest["repos"])
    check_directory(manifest["directory"])
    print(f"accepted by huggingface_hub {huggingface_hub.__version__}: {len(manifest['repos'])} revisions")


def check_repo(cache: str, repo: dict) -> None:
    where = dict(repo_id=repo["repo_id"], repo_type=repo["repo_type"], cache_dir=cache)
    for revision in (repo["revision"], repo["commit"]):
        # The branch may have moved on to a later revision of the manifest.
        if revision != repo["commit"] and ref_of(cache, repo) != repo["commit"]:
            continue
        # Without patterns: a filtered snapshot must be loadable as it is.
        folder = Path(snapshot_download(revision=revision, **where))
        expect(folder.name == repo["commit"], f"{revision} is {folder.name}")
        found = {str(p.relative_to(folder).as_posix()): p.read_text() for p in folder.rglob("*") if p.is_file()}
        expect(found == repo["files"], f"{folder} holds {found}")
        for name, text in repo["files"].items():
            path = hf_hub_download(filename=name, revision=revision, **where)
            expect(Path(path).read_text() == text, f"{path} has other bytes")
            expect(try_to_load_from_cache(filename=name, revision=revision, **where) == path, f"{name} not found")


def ref_of(cache: str, repo: dict) -> str:
    folder = f"{repo['repo_type']}s--{repo['repo_id'].replace('/', '--')}"
    return (Path(cache) / folder / "refs" / repo["revision"]).read_text()


def check_scan(cache: str, repos: list) -> None:
    scan = scan_cache_dir(cache)
    warnings = [str(warning) for warning in scan.warnings]
    expect(not warnings, f"warnings: {warnings}")
    found = {(r.repo_type, r.repo_id, v.commit_hash) for r in scan.repos for v in r.revisions}
    wanted = {(r["repo_type"], r["repo_id"], r["commit"]) for r in repos}
    expect(found == wanted, f"the scan found {found}, not {wanted}")
    for repo in repos:
        files = next(
            {str(Path(f.file_path).relative_to(v.snapshot_path).as_posix()): f.size_on_disk for f in v.files}
            for r in scan.repos
            for v in r.revisions
            if (r.repo_type, r.repo_id, v.commit_hash) == (repo["repo_type"], repo["repo_id"], repo["commit"])
        )
        sizes = {name: len(text.encode()) for name, text in repo["files"].items()}
        expect(files == sizes, f"{repo['repo_id']}: the scan found {files}, not {sizes}")


def check_directory(directory: dict) -> None:
    root, repo = Path(directory["path"]), directory["expected"]
    for name, text in repo["files"].items():
        expect((root / name).read_text() == text, f"{root / name} has other bytes")
        if read_download_metadata is not None:
            note = read_download_metadata(root, name)
            expect(note is not None, f"the client does not trust its note about {name}")
            expect(note.commit_hash == repo["commit"], f"{name} is noted at {note.commit_hash}")
    # At a commit the client goes by its notes alone; offline it could fetch nothing.
    where = dict(repo_id=repo["repo_id"], repo_type=repo["repo_type"], revision=repo["commit"], local_dir=root)
    for name in repo["files"]:
        hf_hub_download(filename=name, **where)


def expect(condition: bool, otherwise: str) -> None:
    if not condition:
        sys.exit(f"not accepted: {otherwise}")


if __name__ == "__main__":
    main()
