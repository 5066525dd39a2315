"""The test hub with revisions that move, and one home of hfdl with its cache."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import urllib.request

MODEL, FOLDER, GROWN, MAIN = "acme/model", "acme/folder", "acme/grown", "main"
LARGE, MEBIBYTE = "model.safetensors", 1 << 20
LARGE_BYTES = 3 * MEBIBYTE


class Broken(Exception):
    """A promise that does not hold."""


def must(holds, problem):
    if not holds:
        raise Broken(problem)


class Hub:
    """Serves a folder; `files` are those of the newest revision of each repository."""

    def __init__(self, program, folder):
        self.folder, self.dice = folder, random.Random(7)
        self.files = {MODEL: {}, FOLDER: {}, GROWN: {}}
        self.commits = {repo: [] for repo in self.files}
        files = self.files[MODEL]
        files[LARGE] = self.dice.randbytes(LARGE_BYTES)
        files["copy/of/model.safetensors"] = files[LARGE]
        files["config.json"], files["Same.json"] = b'{"turn": 0}', b'{"turn": 0}'
        for number in range(12):
            files[f"parts/{number % 3}/{number}.txt"] = self.dice.randbytes(self.dice.randint(1, 3000))
        self.files[FOLDER] = {"weights.bin": self.dice.randbytes(MEBIBYTE), "notes/a.txt": b"a"}
        held = [repo for repo in self.files if self.files[repo]]
        for repo in held:
            self.store(repo)
        self.log = open(os.path.join(folder, "log"), "wb")
        line = [program, "--dir", folder, "--xet"]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.endpoint = self.process.stdout.readline().strip()
        self.learn(held)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def ask(self, path, **options):
        with urllib.request.urlopen(self.endpoint + path, timeout=30, **options) as answer:
            return answer.read()

    def store(self, repo):
        root = os.path.join(self.folder, "models", repo, MAIN)
        shutil.rmtree(root, ignore_errors=True)
        for name, data in self.files[repo].items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)

    def learn(self, repos):
        for repo in repos:
            commit = json.loads(self.ask(f"/api/models/{repo}"))["sha"]
            self.commits[repo].append((commit, dict(self.files[repo])))

    def publish(self, repo, changes):
        """Publishes a revision with these files changed."""
        self.files[repo].update(changes)
        self.store(repo)
        self.ask("/__hub__/publish", data=b"")
        self.learn([repo])

    def edit_large(self):
        """Changes few bytes of the large file, and adds some."""
        data = bytearray(self.files[MODEL][LARGE])
        at = len(data) // 3
        data[at : at + 1000] = self.dice.randbytes(1000)
        data += self.dice.randbytes(77)
        self.publish(MODEL, {LARGE: bytes(data)})

    def edit(self, repo, name, n_bytes):
        """Replaces a part of a file."""
        data = bytearray(self.files[repo][name])
        at = self.dice.randrange(len(data) - n_bytes)
        data[at : at + n_bytes] = self.dice.randbytes(n_bytes)
        self.publish(repo, {name: bytes(data)})

    def slow_down(self, bytes_per_second):
        self.ask(f"/__hub__/fault?slow={bytes_per_second}", data=b"")

    def heal(self):
        self.ask("/__hub__/heal", data=b"")


class Machine:
    """A home and a cache, with the program that works on them."""

    def __init__(self, program, hub, home, cache, scratch):
        self.program, self.hub, self.home, self.cache, self.scratch = program, hub, home, cache, scratch
        keep = {name: os.environ[name] for name in ["PATH", "LANG"] if name in os.environ}
        self.environment = keep | {
            "HOME": scratch,
            "HF_HUB_CACHE": cache,
            "HFDL_HOME": home,
            "HF_ENDPOINT": hub.endpoint,
            "HFDL_DISK_RESERVE": "0",
            # The weights are random bytes, with a header that does not fit them.
            "HFDL_UPDATE_GUARDS": "all,-bad-header",
            "TZ": "UTC",
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, line):
        ran = subprocess.run(
            [self.program, *line.split()],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        return ran

    def must(self, line, expected=0):
        ran = self.run(line)
        problem = f"`hfdl {line}` exited {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-500:]}"
        must(ran.returncode == expected, problem)
        return ran.stdout

    def session(self, line):
        (session,) = json.loads(self.must(f"{line} --json"))["sessions"]
        return session

    def kill(self, line):
        """Starts a command and kills it a second after a partial file was begun."""
        process = subprocess.Popen(
            [self.program, *line.split()],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        folder = self.folder_of(MODEL, ".hfdl")
        for _ in range(600):
            if process.poll() is not None or has_journal(folder):
                break
            time.sleep(0.02)
        time.sleep(1)
        ended = process.poll()
        process.send_signal(signal.SIGKILL)
        process.wait()
        must(ended is None, f"`hfdl {line}` ended with {ended} before it could be killed")

    def folder_of(self, repo, name):
        return os.path.join(self.cache, "models--" + repo.replace("/", "--"), name)

    def snapshot(self, repo, commit):
        return os.path.join(self.folder_of(repo, "snapshots"), commit)

    def is_whole(self, repo, number=-1):
        """The ref names a commit, and all of its files read back right through the snapshot."""
        commit, _ = self.hub.commits[repo][number]
        with open(os.path.join(self.folder_of(repo, "refs"), MAIN), encoding="utf-8") as file:
            found = file.read()
        must(found == commit, f"the ref names {found} and not {commit}")
        self.is_kept(repo, number)

    def is_kept(self, repo, number):
        """All files of a revision read back right through its snapshot."""
        commit, files = self.hub.commits[repo][number]
        reads_back(self.snapshot(repo, commit), files)


def has_journal(folder):
    return os.path.isdir(folder) and any(name.endswith(".incomplete.journal") for name in os.listdir(folder))


def reads_back(folder, files):
    for name, data in files.items():
        try:
            with open(os.path.join(folder, name), "rb") as file:
                found = file.read()
        except OSError as err:
            raise Broken(f"`{name}` cannot be read: {err.strerror}") from None
        must(found == data, f"`{name}` has wrong bytes ({len(found)} of {len(data)})")
    found = {
        os.path.relpath(os.path.join(root, name), folder)
        for root, folders, names in os.walk(folder)
        for name in names
        if not os.path.relpath(root, folder).startswith((".cache", ".hfdl"))
    }
    must(found == set(files), f"other files: {sorted(found ^ set(files))}")


def blobs_are_true(folder):
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        must(name in (git, hashlib.sha256(data).hexdigest()), f"the blob {name} has other bytes")
