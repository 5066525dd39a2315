"""The official client and its checkers, for judging hubs and caches that others wrote."""

import json
import os
import subprocess
from pathlib import Path


class Failed(Exception):
    """A check that did not hold; the text says which."""


def check(holds, what):
    """Prints one line for each thing that is shown."""
    if not holds:
        raise Failed(what)
    print(f"ok: {what}")


class Client:
    """The official command, alone with one hub and one home: no settings from outside get in."""

    def __init__(self, hf, endpoint, home):
        self.hf = str(hf)
        self.cache = Path(home) / "hub"
        kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "TEMP") if key in os.environ}
        self.environment = kept | {
            "HOME": str(home),
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
        }

    def run(self, *words, **environment):
        """Returns the finished process, with its output as text."""
        return subprocess.run(
            [self.hf, *map(str, words)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def succeeds(self, *words, **environment):
        done = self.run(*words, **environment)
        if done.returncode != 0:
            command = " ".join(map(str, words))
            raise Failed(f"`hf {command}` exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def fails(self, *words, **environment):
        """Returns what the command says while it fails."""
        done = self.run(*words, **environment)
        if done.returncode == 0:
            raise Failed(f"`hf {' '.join(map(str, words))}` succeeded: {done.stdout}")
        return done.stdout + done.stderr

    def download(self, kind, repo, *words):
        """Returns the directory that the client says it downloaded to."""
        words = ("download", repo, "--repo-type", kind, "--quiet", *words)
        return Path(self.succeeds(*words).splitlines()[-1])

    def verifies(self, kind, repo, *words):
        """Lets the official checker hash every file and compare it with the hub's listing."""
        strict = ("--fail-on-missing-files", "--fail-on-extra-files")
        self.succeeds("cache", "verify", repo, "--type", kind, *strict, *words)
        check(True, f"`{' '.join(map(str, ('hf cache verify', repo, *words)))}` passes")

    def lists_cleanly(self, kind, repo):
        """Shows that the cache scan finds the repository and complains about nothing."""
        repos, warnings = self.asks(SCAN, self.cache)
        check(f"{kind} {repo}" in repos, f"the cache scan lists {kind} {repo}")
        check(warnings == [], f"the cache scan has no warnings {warnings or ''}".strip())

    def finds_offline(self, kind, repo, revision, files, what):
        """Shows that a program without the network gets these files, together and one by one."""
        asked = {
            "where": {"repo_id": repo, "repo_type": kind, "revision": revision},
            "files": sorted(files),
        }
        folder, paths = self.asks(READ, json.dumps(asked), HF_HUB_OFFLINE="1")
        same_files(files, Path(folder), f"{what}, as `snapshot_download` finds it offline,")
        wrong = [name for name in files if Path(paths[name]).read_bytes() != files[name]]
        check(wrong == [], f"{what}: `hf_hub_download` finds each file offline {wrong or ''}".strip())

    def asks(self, script, argument, **environment):
        """Returns what a Python program that uses the library prints as JSON."""
        python = Path(self.hf).with_name("python" + Path(self.hf).suffix)
        done = subprocess.run(
            [str(python), "-c", script, str(argument)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise Failed(f"the library refused: {done.stderr}")
        return json.loads(done.stdout)


SCAN = """
import json, sys
from huggingface_hub import scan_cache_dir
found = scan_cache_dir(sys.argv[1])
names = [f"{repo.repo_type} {repo.repo_id}" for repo in found.repos]
print(json.dumps([names, [str(warning) for warning in found.warnings]]))
"""

READ = """
import json, sys
from huggingface_hub import hf_hub_download, snapshot_download
asked = json.loads(sys.argv[1])
folder = snapshot_download(**asked["where"])
paths = {name: hf_hub_download(filename=name, **asked["where"]) for name in asked["files"]}
print(json.dumps([folder, paths]))
"""


def same_files(expected, directory, what):
    """Compares a directory with {path: bytes}; the client's own bookkeeping is left out."""
    found = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in Path(directory).rglob("*")
        if path.is_file() and path.relative_to(directory).parts[0] != ".cache"
    }
    check(sorted(found) == sorted(expected), f"{what} has its {len(expected)} files, no others")
    wrong = [path for path in expected if found[path] != expected[path]]
    check(wrong == [], f"{what} is right byte for byte {wrong or ''}".strip())
