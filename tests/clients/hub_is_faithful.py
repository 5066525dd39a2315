"""Shows that the official client takes the test hub for a Hugging Face Hub.

A test hub that only our own client understands proves nothing, so this drives the real `hf` against
it: every kind of repository and revision, into the cache and into a local directory, compared byte
for byte with what was published, and then judged by `hf cache verify`. It also shows that the
refusals are those the official client knows.

Start it through `tests/clients/run`.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from hub_program import Hub, write
from official_client import Client, Failed, check, same_files

MIB = 1024 * 1024


def published():
    """Returns {(kind, repo): {revision: {path: bytes}}}, with all shapes of files."""
    noise = random.Random(7)
    attributes = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
    model = {
        ".gitattributes": attributes,
        "README.md": b"# tiny\n",
        "config.json": b'{"model_type": "tiny"}\n',
        "empty.txt": b"",
        "small.bin": b"a small file that lies in LFS",
        "model.safetensors": noise.randbytes(12 * MIB + 1),
        "deep/er/na\u00efve file [1] #2 100%.txt": "gr\u00fc\u00df dich\n".encode(),
    }
    return {
        ("model", "acme/tiny"): {
            "main": model,
            "dev": {**model, "config.json": b"{}\n", "only-dev.bin": noise.randbytes(MIB)},
            "refs/tags/v1": {"README.md": b"# the first\n"},
            "refs/pr/1": {**model, "README.md": b"# proposed\n"},
            "refs/convert/parquet": {"default/0000.parquet": noise.randbytes(MIB)},
        },
        ("dataset", "acme/corpus"): {
            "main": {
                "README.md": b"# corpus\n",
                **{f"data/{n:04}.txt": f"line {n}\n".encode() for n in range(40)},
                "data/train.parquet": noise.randbytes(2 * MIB),
            },
        },
        ("space", "acme/app"): {
            "main": {"README.md": b"---\nsdk: static\n---\n", "index.html": b"<p>hello</p>\n"},
        },
    }


def downloads_are_right(hf, hub, repos, scratch):
    for (kind, repo), revisions in repos.items():
        for ref, files in revisions.items():
            name = ref.removeprefix("refs/tags/")
            what = f"{kind} {repo} at {name}"
            # A home for each: what another revision left must not help.
            home = Path(scratch) / f"home-{kind}-{name.replace('/', '-')}"
            client = Client(hf, hub.url, home)
            snapshot = client.download(kind, repo, "--revision", name)
            same_files(files, snapshot, f"{what} in the cache")
            check(
                (snapshot.parent.parent / "refs" / name).read_text() == snapshot.name,
                f"{what} is named by its ref",
            )
            client.verifies(kind, repo, "--revision", name)
            client.lists_cleanly(kind, repo)
            # Another home again, because the client takes from its cache what it finds there.
            client = Client(hf, hub.url, home / "local-home")
            local = home / "local"
            client.download(kind, repo, "--revision", name, "--local-dir", local)
            same_files(files, local, f"{what} in a local directory")
            # The client's own `.cache` counts as extra files there, so only the hashes are asked for.
            client.succeeds(
                "cache", "verify", repo, "--type", kind, "--revision", name,
                "--local-dir", local, "--fail-on-missing-files",
            )
            check(True, f"{what} is verified in the local directory")


def a_single_file_and_a_commit_work(hf, hub, repos, scratch):
    files = repos["model", "acme/tiny"]["main"]
    client = Client(hf, hub.url, Path(scratch) / "home-single")
    for name in ("model.safetensors", "config.json"):
        path = client.download("model", "acme/tiny", name)
        check(path.read_bytes() == files[name], f"the single file {name} is right")
    commit = path.parent.name
    snapshot = client.download("model", "acme/tiny", "--revision", commit)
    same_files(files, snapshot, "a commit by its hash")


def a_new_revision_is_seen(hf, hub, repos, root, scratch):
    client = Client(hf, hub.url, Path(scratch) / "home-moved")
    before = client.download("dataset", "acme/corpus")
    files = {**repos["dataset", "acme/corpus"]["main"], "README.md": b"# corpus, moved\n"}
    check(hub.publish() == "", "publishing an unchanged directory publishes nothing")
    write(root, "dataset", "acme/corpus", "main", files)
    check("datasets/acme/corpus main" in hub.publish(), "a changed directory is published")
    after = client.download("dataset", "acme/corpus")
    check(before.name != after.name, "the branch has moved to another commit")
    commits = HfApi(endpoint=hub.url, token=False).list_repo_commits("acme/corpus", repo_type="dataset")
    ids = [commit.commit_id for commit in commits]
    check(ids == [after.name, before.name], "the commit before is in its history")
    same_files(files, after, "the new revision")


def refusals_are_understood(hf, hub, scratch):
    client = Client(hf, hub.url, Path(scratch) / "home-refused")
    for words, path, status in (
        (("acme/tiny", "--revision", "nope"), "/api/models/acme/tiny/revision/nope",
         (404, "RevisionNotFound")),
        (("acme/tiny", "nope.txt"), "/acme/tiny/resolve/main/nope.txt", (404, "EntryNotFound")),
        (("acme/none",), "/api/models/acme/none", (401, "RepoNotFound")),
    ):
        check(hub.error(path) == status, f"{path} is {status[0]} {status[1]}")
        said = client.fails("download", *words).lower()
        check("not found" in said, f"`hf download {' '.join(words)}` says so")
    said = client.fails("download", "acme/tiny", HF_TOKEN="hf_wrong")
    check("401" in said or "Invalid" in said, "a token that is not valid is refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", required=True, type=Path, help="the program `hfdl-test-hub`")
    parser.add_argument("--hf", required=True, type=Path, help="the program `hf`")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="hub-is-faithful-"))
    root = scratch / "published"
    repos = published()
    for (kind, repo), revisions in repos.items():
        for revision, files in revisions.items():
            write(root, kind, repo, revision, files)
    try:
        with Hub(options.hub, root, scratch) as hub:
            downloads_are_right(options.hf, hub, repos, scratch)
            a_single_file_and_a_commit_work(options.hf, hub, repos, scratch)
            refusals_are_understood(options.hf, hub, scratch)
            a_new_revision_is_seen(options.hf, hub, repos, root, scratch)
    except Failed as failure:
        print(f"FAILED: {failure}\nwhat is left lies in {scratch}", file=sys.stderr)
        return 1
    shutil.rmtree(scratch)
    print("the hub is faithful")
    return 0


if __name__ == "__main__":
    sys.exit(main())
