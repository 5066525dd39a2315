"""Shows that `hfdl download` and the official client stand in for one another.

What hfdl wrote has to be what the official client would have written: its library finds every file
offline, its cache scan has nothing to say, its checker passes, and its next download fetches nothing.
The other way round hfdl takes a cache or a directory that the official client wrote as it is. The
hub's record of requests tells what was really fetched.

Start it through `tests/clients/run`.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hfdl_program import Hfdl, argument
from hub_program import Hub, write
from official_client import Client, Failed, check, same_files

MIB = 1024 * 1024


def published():
    """Returns {(kind, repo): {revision: {path: bytes}}}, with all shapes of files and names."""
    noise = random.Random(11)
    twin = noise.randbytes(2 * MIB)
    model = {
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "README.md": b"# tiny\n",
        "config.json": b'{"model_type": "tiny"}\n',
        "empty.txt": b"",
        "empty.bin": b"",
        "small.bin": b"a small file that lies in LFS",
        "model.safetensors": noise.randbytes(21 * MIB + 1),
        "twin-a.bin": twin,
        "twins/twin-b.bin": twin,
        "one/two/three/four/deep.json": b"{}\n",
    }
    odd = {
        name: f"this is {name}\n".encode()
        for name in (
            "a b.txt",
            "-rf.txt",
            "#1 [50%] {x}?&=+;,@!$'()~.txt",
            '"quoted".txt',
            "100%25.txt",
            "*.json",
            ".hidden/.env",
            "blobs/refs/main",
            "model.bin.incomplete",
            "model.bin.lock",
            "na\u00efve/gr\u00fc\u00dfe.txt",
            "nai\u0308ve.txt",
            "\u6a21\u578b/\u91cd\u307f.txt",
            "\U0001f917.txt",
            "l" + "o" * 180 + "ng.txt",
        )
    }
    return {
        ("model", "acme/tiny"): {
            "main": model,
            "dev": {**model, "config.json": b"{}\n", "only-dev.bin": noise.randbytes(MIB)},
            "feature/x": {"README.md": b"# a branch with a slash\n"},
            "refs/tags/v1": {"README.md": b"# the first\n"},
            "refs/pr/1": {**model, "README.md": b"# proposed\n"},
        },
        ("model", "acme/odd"): {"main": odd},
        ("dataset", "acme/corpus"): {
            "main": {
                "README.md": b"# corpus\n",
                **{f"data/{n // 10}/{n:04}.txt": f"line {n}\n".encode() for n in range(40)},
                "data/train.parquet": noise.randbytes(2 * MIB),
            },
        },
        ("space", "acme/app"): {
            "main": {"README.md": b"---\nsdk: static\n---\n", "index.html": b"<p>hello</p>\n"},
        },
    }


class Lab:
    """The hub with what it holds, the programs, and room for homes."""

    def __init__(self, options, scratch, hub, repos):
        self.hub, self.repos = hub, repos
        self.scratch = Path(scratch)
        self.program = options.hfdl
        self.newest, *self.others = options.hf
        self.n_homes = 0

    def home(self, hf=None):
        """Returns client and hfdl that share a new, empty home."""
        self.n_homes += 1
        home = self.scratch / f"home-{self.n_homes}"
        client = Client(hf or self.newest, self.hub.url, home)
        return client, self.hfdl(client)

    def hfdl(self, client):
        """Returns an hfdl that knows nothing yet about this client's home."""
        self.n_homes += 1
        return Hfdl(self.program, client, self.scratch / f"state-{self.n_homes}")

    def requests_of(self, work):
        """Returns what `work` returns, and the requests it made."""
        n_before = len(self.hub.requests())
        result = work()
        requests = self.hub.requests()[n_before:]
        # The newest client also keeps a list of programs that are no repositories.
        return result, [line for line in requests if "/api/agent-harnesses" not in line]


def fetches(requests):
    """Leaves of the requests those that brought content."""
    return [line for line in requests if line.startswith("cdn ") or line.startswith("hub GET") and "/resolve" in line]


def blobs(client):
    """Returns what tells a blob that was written again: its name, inode and time."""
    found = {}
    for path in client.cache.glob("*/blobs/*"):
        status = path.stat()
        found[path.name] = (status.st_ino, status.st_mtime_ns)
    return found


def a_cache_by_hfdl_is_the_clients(lab):
    for (kind, repo), revisions in lab.repos.items():
        for ref, files in revisions.items():
            name = ref.removeprefix("refs/tags/")
            what = f"{kind} {repo} at {name}"
            client, hfdl = lab.home()
            session = hfdl.download(argument(kind, repo), "--revision", name)
            check(session["outcome"] == "updated", f"hfdl downloads {what}")
            n_bytes = sum(len(content) for content in set(files.values()))
            check(session["bytes"]["fetched"] == n_bytes, "no content is fetched twice")
            snapshot = Path(session["path"])
            same_files(files, snapshot, f"{what} by hfdl")
            client.finds_offline(kind, repo, name, files, what)
            client.finds_offline(kind, repo, snapshot.name, files, "its commit")
            client.lists_cleanly(kind, repo)
            client.verifies(kind, repo, "--revision", name)
            before = blobs(client)
            again, requests = lab.requests_of(lambda: client.download(kind, repo, "--revision", name))
            check(again == snapshot, "`hf download` finds it in the same place")
            check(len(requests) == 1, f"`hf download` asks one question and fetches nothing {requests}")
            check(blobs(client) == before, "`hf download` writes no blob again")
            again, requests = lab.requests_of(
                lambda: hfdl.download(argument(kind, repo), "--revision", name)
            )
            check(again["outcome"] == "up-to-date", "for hfdl it is up to date")
            check(len(requests) == 1, f"hfdl asks one question {requests}")
            for hf in lab.others:
                other = Client(hf, lab.hub.url, client.environment["HF_HOME"])
                other.finds_offline(kind, repo, name, files, f"{what} for the old client")
                other.lists_cleanly(kind, repo)
                again, requests = lab.requests_of(
                    lambda: other.download(kind, repo, "--revision", name)
                )
                check(again == snapshot, "the old `hf download` finds it in the same place")
                check(fetches(requests) == [], f"it fetches nothing {fetches(requests) or ''}".strip())
                check(blobs(client) == before, "it writes no blob again")


def a_directory_by_hfdl_is_the_clients(lab):
    for (kind, repo), revisions in lab.repos.items():
        files = revisions["main"]
        what = f"{kind} {repo} in a directory"
        client, hfdl = lab.home()
        directory = lab.scratch / f"directory-{kind}-{repo.replace('/', '-')}"
        session = hfdl.download(argument(kind, repo), "--to", directory)
        check(session["outcome"] == "updated", f"hfdl downloads {what}")
        same_files(files, directory, f"{what} by hfdl")
        client.succeeds(
            "cache", "verify", repo, "--type", kind, "--local-dir", directory,
            "--fail-on-missing-files",
        )
        check(True, f"`hf cache verify --local-dir` passes for {what}")
        for hf in (lab.newest, *lab.others):
            client, _ = lab.home(hf)
            _, requests = lab.requests_of(
                lambda: client.download(kind, repo, "--local-dir", directory)
            )
            check(
                fetches(requests) == [],
                f"`hf download --local-dir` fetches nothing {fetches(requests) or ''}".strip(),
            )
            same_files(files, directory, f"{what} after it")
        again = hfdl.download(argument(kind, repo), "--to", directory)
        check(again["outcome"] == "up-to-date", "for hfdl it is up to date")


def what_a_client_wrote_is_taken_as_it_is(lab):
    for hf in (lab.newest, *lab.others):
        for (kind, repo), revisions in lab.repos.items():
            for ref, files in revisions.items():
                name = ref.removeprefix("refs/tags/")
                what = f"{kind} {repo} at {name} by {'the' if hf == lab.newest else 'the old'} `hf`"
                client, hfdl = lab.home(hf)
                snapshot = client.download(kind, repo, "--revision", name)
                before = blobs(client)
                session, requests = lab.requests_of(
                    lambda: hfdl.download(argument(kind, repo), "--revision", name)
                )
                nothing_was_fetched(session, requests, f"{what} in the cache")
                check(Path(session["path"]) == snapshot, "hfdl finds it in the same place")
                check(blobs(client) == before, "hfdl writes no blob again")
                same_files(files, snapshot, what)
                client.lists_cleanly(kind, repo)
                client.finds_offline(kind, repo, name, files, what)
            local = lab.scratch / f"local-{lab.n_homes}"
            client.download(kind, repo, "--local-dir", local)
            session, requests = lab.requests_of(
                lambda: hfdl.download(argument(kind, repo), "--to", local)
            )
            nothing_was_fetched(session, requests, f"{kind} {repo} in its directory")
            same_files(revisions["main"], local, f"{kind} {repo} in its directory")


def nothing_was_fetched(session, requests, what):
    check(session["outcome"] in ("updated", "up-to-date"), f"hfdl takes {what}")
    check(session["bytes"]["fetched"] == 0, "hfdl says that it fetched nothing")
    check(fetches(requests) == [], f"the hub says so too {fetches(requests) or ''}".strip())


def patterns_choose_the_same_files(lab):
    kind, repo = "model", "acme/tiny"
    files = lab.repos[kind, repo]["main"]
    for patterns in (
        ("--include", "*.json"),
        ("--exclude", "*.bin", "--exclude", "*.safetensors"),
        ("--include", "one/*", "--include", "*.md", "--exclude", "*/deep*"),
        ("--include", "tw?n*", "--exclude", "twins/"),
    ):
        shown = " ".join(patterns)
        client, hfdl = lab.home()
        other, _ = lab.home()
        session = hfdl.download(repo, *patterns)
        snapshot = Path(session["path"])
        theirs = other.download(kind, repo, *patterns)
        chosen = {
            path.relative_to(theirs).as_posix(): path.read_bytes()
            for path in theirs.rglob("*")
            if path.is_file()
        }
        check(0 < len(chosen) < len(files), f"`{shown}` chooses {len(chosen)} files")
        same_files(chosen, snapshot, f"hfdl with `{shown}`")
        client.finds_offline(kind, repo, "main", chosen, f"what `{shown}` chose")
        client.lists_cleanly(kind, repo)
        again, requests = lab.requests_of(lambda: client.download(kind, repo, *patterns))
        check(again == snapshot, "`hf download` with the same patterns finds it")
        check(fetches(requests) == [], f"it fetches nothing {fetches(requests) or ''}".strip())
        # The rest comes with the whole, whoever fetches it.
        session = hfdl.download(repo)
        rest = {content for content in files.values()} - set(chosen.values())
        check(
            session["bytes"]["fetched"] == sum(map(len, rest)),
            "the whole repository costs only what the patterns left out",
        )
        same_files(files, other.download(kind, repo), f"`hf download` after `{shown}`")
        client.verifies(kind, repo)


def a_single_file_is_found(lab):
    kind, repo = "model", "acme/tiny"
    files = lab.repos[kind, repo]["main"]
    client, hfdl = lab.home()
    session = hfdl.download(repo, "config.json")
    same_files({"config.json": files["config.json"]}, Path(session["path"]), "a single file")
    _, requests = lab.requests_of(lambda: client.download(kind, repo, "config.json"))
    check(fetches(requests) == [], f"`hf download` of it fetches nothing {fetches(requests)}")


def a_new_revision_costs_what_changed(lab, root):
    kind, repo = "dataset", "acme/corpus"
    client, hfdl = lab.home()
    old_files = lab.repos[kind, repo]["main"]
    old = Path(hfdl.download(argument(kind, repo))["path"])
    new_files = {**old_files, "README.md": b"# corpus, moved\n", "data/more.txt": b"more\n"}
    del new_files["data/0/0001.txt"]
    write(root, kind, repo, "main", new_files)
    lab.hub.publish()
    session = hfdl.download(argument(kind, repo))
    check(session["outcome"] == "updated", "hfdl sees the new revision")
    check(session["bytes"]["fetched"] == 21, "it fetches what changed and nothing else")
    client.finds_offline(kind, repo, "main", new_files, "the new revision")
    client.finds_offline(kind, repo, old.name, old_files, "the old revision by its commit")
    client.verifies(kind, repo)
    client.verifies(kind, repo, "--revision", old.name)
    client.lists_cleanly(kind, repo)
    _, requests = lab.requests_of(lambda: client.download(kind, repo))
    check(fetches(requests) == [], f"`hf download` fetches nothing {fetches(requests) or ''}".strip())


def a_commit_that_upstream_has_lost_is_found(lab, root):
    kind, repo = "dataset", "acme/corpus"
    client, hfdl = lab.home()
    hfdl.document("models", "add", argument(kind, repo), "--name", "corpus", "--keep-revisions", "1")
    old = Path(hfdl.download("corpus")["path"])
    old_files = {
        path.relative_to(old).as_posix(): path.read_bytes() for path in old.rglob("*") if path.is_file()
    }
    new_files = {**old_files, "README.md": b"# corpus, rewritten\n"}
    write(root, kind, repo, "main", new_files)
    lab.hub.publish()
    lab.hub.forget(old.name)
    # A rewritten history would be held otherwise.
    hfdl.download("corpus", "-c", "update.guards=off")
    hfdl.document("prune", "--yes")
    copies = hfdl.document("prune", "--dry-run")["items"]
    reasons = [item["reason"] for item in copies if item["id"] == old.name]
    check(reasons == ["it exists nowhere else any more"], "hfdl keeps the commit and names it")
    client.finds_offline(kind, repo, old.name, old_files, "a commit that upstream has lost")
    client.finds_offline(kind, repo, "main", new_files, "the rewritten branch")
    client.lists_cleanly(kind, repo)


def read_only_blobs_are_deleted(lab, root):
    kind, repo = "model", "acme/odd"
    client, hfdl = lab.home()
    hfdl.download(repo)
    # As large as the old one: a revision that has lost most of its bytes is held.
    files = {"README.md": b"# odd, moved\n", "more.bin": b"m" * MIB}
    write(root, kind, repo, "main", files)
    lab.hub.publish()
    # The loss of most files would be held otherwise.
    session = hfdl.download(repo, "-c", "update.guards=off")
    check(session["outcome"] == "updated", "hfdl publishes a revision with other files")
    modes = [path.stat().st_mode & 0o222 for path in client.cache.glob("*/blobs/*")]
    check(len(modes) > 1 and not any(modes), "the blobs of both revisions are read-only")
    client.succeeds("cache", "prune", "--yes")
    check(len(blobs(client)) == len(files), "`hf cache prune` deletes those of the old one")
    same_files(files, Path(session["path"]), "the new one stays")
    client.succeeds("cache", "rm", f"{kind}/{repo}", "--yes")
    check(not blobs(client), "`hf cache rm` deletes the rest")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", required=True, type=Path, help="the program `hfdl-test-hub`")
    parser.add_argument("--hfdl", required=True, type=Path, help="the program `hfdl`")
    parser.add_argument(
        "--hf", required=True, type=Path, action="append",
        help="the program `hf`, the newest; older ones after it",
    )
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="download-is-accepted-"))
    root = scratch / "published"
    repos = published()
    for (kind, repo), revisions in repos.items():
        for revision, files in revisions.items():
            write(root, kind, repo, revision, files)
    try:
        with Hub(options.hub, root, scratch) as hub:
            lab = Lab(options, scratch, hub, repos)
            a_cache_by_hfdl_is_the_clients(lab)
            a_directory_by_hfdl_is_the_clients(lab)
            what_a_client_wrote_is_taken_as_it_is(lab)
            patterns_choose_the_same_files(lab)
            a_single_file_is_found(lab)
            a_new_revision_costs_what_changed(lab, root)
            a_commit_that_upstream_has_lost_is_found(lab, root)
            read_only_blobs_are_deleted(lab, root)
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}\nwhat is left lies in {scratch}", file=sys.stderr)
        return 1
    shutil.rmtree(scratch)
    print("what hfdl downloads is accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
