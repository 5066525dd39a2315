"""Shows that other programs live in a cache that hfdl keeps.

Each program loads offline the files that hfdl has published. With `--turns N`, each program that
can write also downloads the newest revision beside hfdl for N updates. After each update the ref has
to name the commit of the Hub, and `hfdl status --json` has to say of the ref only true things, also in
between. At the end the official checker hashes every file.

Start it through `tests/clients/neighbours`. It needs the packages of the newest client's environment.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import safetensors.numpy

from hub_program import Hub, write
from official_client import SCAN, Client, Failed, check
from tiny_llama import tiny_llama

LFS = b"*.gguf filter=lfs\n*.safetensors filter=lfs\n*.parquet filter=lfs\n"
NO_HUB = "http://127.0.0.1:1"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]


def bert(seed):
    """Makes the smallest files from which transformers loads configuration, tokenizer and weights."""
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 16,
        "revision_of_this_test": seed,
    }
    noise = numpy.random.default_rng(seed)
    embedding = noise.standard_normal((len(WORDS), 8)).astype(numpy.float32)
    return {
        ".gitattributes": LFS,
        "config.json": json.dumps(config).encode(),
        "configuration.json": b'{"framework": "pytorch", "task": "fill-mask"}',
        "tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer"}',
        "vocab.txt": "\n".join(WORDS).encode(),
        "model.safetensors": safetensors.numpy.save({"embeddings.word_embeddings.weight": embedding}),
    }


def llama(seed):
    """Makes a repository with a GGUF file that llama.cpp loads."""
    content = tiny_llama(seed)
    return {".gitattributes": LFS, "README.md": f"# {seed}\n".encode(), "tiny-Q8_0.gguf": content}


def corpus(seed):
    """Makes a dataset of one Parquet file."""
    rows = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": [f"line {n} of {seed}" for n in range(9)]}), rows)
    return {".gitattributes": LFS, "README.md": f"# {seed}\n".encode(), "data/train.parquet": rows.getvalue()}


class Program:
    """A program of others: how it reads the cache offline, and how it writes into it."""

    def __init__(self, name, make, reads=None, writes=None, repo="acme/tiny", kind="model"):
        self.name, self.make = name, make
        self.reads, self.writes = reads, writes
        self.repo, self.kind = repo, kind

    @property
    def registered(self):
        return self.repo if self.kind == "model" else f"{self.kind}s/{self.repo}"


# Each Python program is a loop: one line of input, one action, one line of output. The first
# argument is the repository.
LOOP = """
import json, sys
repo = sys.argv[1]
{setup}
for line in sys.stdin:
    folder = line.strip()
    try:
{action}
        print(json.dumps({{"ok": True}}), flush=True)
    except BaseException as problem:
        print(json.dumps({{"ok": False, "why": repr(problem)[:400]}}), flush=True)
"""


def python_loop(setup, action):
    indented = "\n".join(f"        {line}" for line in action.strip().splitlines())
    return LOOP.format(setup=setup.strip(), action=indented)


HUB_READS = python_loop(
    "from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download",
    """
assert snapshot_download(repo) == folder
assert hf_hub_download(repo, "config.json").startswith(folder)
assert [found.repo_id for found in scan_cache_dir().repos] == [repo]
""",
)
HUB_WRITES = python_loop("from huggingface_hub import snapshot_download", "snapshot_download(repo)")
# Without PyTorch the classes of models cannot be used; the weights are found and read all the same.
TRANSFORMERS = python_loop(
    """
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import cached_file, is_torch_available
""",
    """
assert AutoConfig.from_pretrained(repo).hidden_size == 8
assert AutoTokenizer.from_pretrained(repo)("a b")["input_ids"]
weights = load_file(cached_file(repo, "model.safetensors"))
assert weights["embeddings.word_embeddings.weight"].shape == (7, 8)
if is_torch_available():
    from transformers import AutoModel
    AutoModel.from_pretrained(repo)
""",
)
DATASETS_READS = python_loop(
    "from datasets import load_dataset",
    """
rows = load_dataset(folder, split="train")
assert len(rows) == 9
""",
)
DATASETS_WRITES = python_loop(
    "from datasets import load_dataset\nfrom huggingface_hub import snapshot_download",
    """
assert len(load_dataset(repo, split="train", download_mode="force_redownload")) == 9
snapshot_download(repo, repo_type="dataset")
""",
)
LLAMA_READS = python_loop(
    "import glob, xllamacpp",
    """
parameters = xllamacpp.CommonParams()
parameters.model.path = glob.glob(folder + "/*.gguf")[0]
parameters.n_ctx, parameters.warmup = 64, False
server = xllamacpp.Server(parameters)
answer = server.handle_completions({"prompt": "a", "max_tokens": 2})
assert "choices" in json.loads(answer) if isinstance(answer, (str, bytes)) else answer
""",
)
RAMALAMA_READS = python_loop(
    "import glob, os, subprocess",
    """
model = glob.glob(folder + "/*.gguf")[0]
program = [os.path.join(os.path.dirname(sys.executable), "ramalama"), "--nocontainer"]
store = ["--store", os.environ["HOME"] + "/ramalama"]
subprocess.run([*program, *store, "pull", "file://" + model], check=True, capture_output=True)
listed = subprocess.run([*program, *store, "list", "--json"], check=True, capture_output=True)
assert "tiny-Q8_0.gguf" in listed.stdout.decode()
""",
)
MODELSCOPE_READS = python_loop(
    "from modelscope.utils.hub import read_config",
    """
assert read_config(folder).framework == "pytorch"
""",
)
NODE = """
import { createInterface } from "node:readline";
import { downloadFileToCacheDir, scanCacheDir, snapshotDownload } from "@huggingface/hub";
const [repo, way] = process.argv.slice(2);
const options = { repo, hubUrl: process.env.HF_ENDPOINT, cacheDir: process.env.HF_HUB_CACHE };
for await (const folder of createInterface({ input: process.stdin })) {
    try {
        if (way === "reads") {
            const { repos } = await scanCacheDir(options.cacheDir);
            if (!repos.some((found) => found.id.name === repo)) throw new Error("not listed");
            const revision = folder.split("/").at(-1);
            const path = await downloadFileToCacheDir({ ...options, revision, path: "config.json" });
            if (!path.startsWith(folder)) throw new Error(path);
        } else {
            await snapshotDownload(options);
        }
        console.log(JSON.stringify({ ok: true }));
    } catch (problem) {
        console.log(JSON.stringify({ ok: false, why: String(problem).slice(0, 400) }));
    }
}
"""


class Lab:
    """The hub with one repository, hfdl with its home, and the official client, for one program."""

    def __init__(self, options, program, scratch):
        self.options, self.program = options, program
        self.scratch = Path(scratch)
        self.files = self.scratch / "hub-files"

    def __enter__(self):
        self.change(0)
        self.hub = Hub(self.options.hub, self.files, self.scratch).__enter__()
        self.client = Client(self.options.hf, self.hub.url, self.scratch / "home")
        self.environment = self.client.environment | {
            "HFDL_HOME": str(self.scratch / "state"),
            "HFDL_DISK_RESERVE": "0",
            "HF_HUB_CACHE": str(self.client.cache),
            "MODEL_ENDPOINT": self.hub.url,
        }
        self.hfdl("models", "add", self.program.registered)
        self.hfdl("schedules", "add", "often", "--every", "6h", "--all")
        return self

    def __exit__(self, *_):
        self.hub.__exit__()

    def change(self, seed):
        write(self.files, self.program.kind, self.program.repo, "main", self.program.make(seed))

    def run(self, *words):
        command = [str(self.options.hfdl), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)

    def hfdl(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise Failed(f"`hfdl {' '.join(words)}` exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def update(self):
        return self.run("download", self.program.registered, "--json")

    @property
    def folder(self):
        name = self.program.repo.replace("/", "--")
        return self.client.cache / f"{self.program.kind}s--{name}"

    def ref(self):
        try:
            return (self.folder / "refs/main").read_text()
        except FileNotFoundError:
            return None

    def head(self):
        url = f"{self.hub.url}/api/{self.program.kind}s/{self.program.repo}/revision/main"
        return json.load(urllib.request.urlopen(url))["sha"]

    def published(self):
        shown = self.hfdl("models", "show", self.program.registered, "--json")
        return json.loads(shown)["published_commit"]

    def status_is_true(self):
        """Compares `hfdl status` with the disk. Returns whether the ref is moved."""
        published, ref = self.published(), self.ref()
        done = self.run("status", "--json")
        status = json.loads(done.stdout)
        if done.returncode != (0 if status["healthy"] else 1):
            raise Failed(f"`hfdl status` exited {done.returncode}: {status['warnings']}")
        moved = status["moved_refs"]
        if [found["commit"] for found in moved] != ([] if ref == published else [ref]):
            raise Failed(f"the ref names {ref}, hfdl published {published}, and status says {moved}")
        for found in moved:
            is_missing = ref is None or not (self.folder / "snapshots" / ref).is_dir()
            if (found["snapshot"] == "missing") != is_missing:
                raise Failed(f"missing: {is_missing}, and status says {found}")
        return bool(moved)


class Worker:
    """A program that acts once for each line of input."""

    def __init__(self, command, environment, log):
        self.log = log.open("w")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def act(self, line=""):
        """Lets the program act. Returns why it failed, or None."""
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            for answer in self.process.stdout:
                if answer.startswith("{"):
                    answer = json.loads(answer)
                    return None if answer["ok"] else answer["why"]
        except BrokenPipeError:
            pass
        self.process.wait()
        return f"the program ended: {Path(self.log.name).read_text()[-1500:]}"

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.log.close()


def reads_offline(options, program):
    with tempfile.TemporaryDirectory() as scratch, Lab(options, program, scratch) as lab:
        for seed in (1, 2):
            lab.change(seed)
            lab.hub.publish()
            lab.hfdl("download", program.registered)
        offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": NO_HUB, "HF_DATASETS_CACHE": f"{scratch}/datasets"}
        command = program.reads(program.repo)
        worker = Worker(command, lab.environment | offline, Path(scratch) / "reader.log")
        why = worker.act(str(lab.folder / "snapshots" / lab.ref()))
        worker.end()
        check(why is None, f"{program.name} loads offline the files that hfdl keeps {why or ''}".strip())
        check(not lab.status_is_true(), f"{program.name} moves no ref offline")


def writes_beside(options, program, n_turns):
    started, n_moved, n_refused = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as scratch, Lab(options, program, scratch) as lab:
        lab.hfdl("download", program.registered)
        online = lab.environment | {"HF_DATASETS_CACHE": f"{scratch}/datasets"}
        worker = Worker(program.writes(program.repo), online, Path(scratch) / "writer.log")

        def write_it():
            why = worker.act()
            if why is not None:
                raise Failed(f"{program.name} could not write: {why}")

        for turn in range(1, n_turns + 1):
            lab.change(turn)
            lab.hub.publish()
            if turn % 3 == 0:
                write_it()
                n_moved += lab.status_is_true()
            elif turn % 3 == 1:
                whys = []
                thread = threading.Thread(target=lambda: whys.append(worker.act()))
                thread.start()
                n_refused += lab.update().returncode != 0
                thread.join()
                if whys != [None]:
                    raise Failed(f"{program.name} could not write beside hfdl: {whys}")
                n_moved += lab.status_is_true()
            else:
                lab.update()
                write_it()
            done = lab.update()
            if done.returncode != 0 or lab.ref() != lab.head() or lab.published() != lab.head():
                raise Failed(f"update {turn}: exit {done.returncode}, ref {lab.ref()}\n{done.stdout}{done.stderr}")
            if lab.status_is_true():
                raise Failed(f"update {turn}: the ref is still moved")
        worker.end()
        lab.client.verifies(program.kind, program.repo)
        lab.client.lists_cleanly(program.kind, program.repo)
        took = time.monotonic() - started
        check(
            True,
            f"{program.name} wrote beside hfdl for {n_turns} updates: status was true {n_moved} times with "
            f"a moved ref, {n_refused} runs at the same time were repeated, {took:.0f} s",
        )


def a_ref_without_snapshot_is_put_right(options, program):
    """Shows that a repository that the official client no longer lists is listed after the next run."""
    for text in ("0123456789" * 4, "no commit"):
        with tempfile.TemporaryDirectory() as scratch, Lab(options, program, scratch) as lab:
            lab.hfdl("download", program.registered)
            (lab.folder / "refs/main").write_text(text)
            repos, _ = lab.client.asks(SCAN, lab.client.cache)
            check(repos == [], f"with `{text}` in its ref the client lists the repository no longer")
            status = json.loads(lab.run("status", "--json").stdout)
            check(status["moved_refs"][0]["snapshot"] == "missing", "`hfdl status` names the ref")
            lab.hfdl("download", program.registered)
            lab.client.lists_cleanly(program.kind, program.repo)
            check(not lab.status_is_true(), "`hfdl status` names it no longer")


def programs(options):
    """Returns the programs whose packages are installed."""
    base = options.programs
    newest, apps = Path(options.hf).with_name("python"), base / "apps/bin/python"
    older = options.old_hf and Path(options.old_hf).with_name("python")

    def python(interpreter, script):
        return lambda repo: [interpreter, "-c", script, repo]

    found = [
        Program("huggingface_hub 2.4", bert, python(newest, HUB_READS), python(newest, HUB_WRITES)),
        Program("transformers", bert, python(newest, TRANSFORMERS), python(newest, TRANSFORMERS)),
        Program(
            "datasets",
            corpus,
            python(newest, DATASETS_READS),
            python(newest, DATASETS_WRITES),
            kind="dataset",
            repo="acme/corpus",
        ),
        Program("llama.cpp (xllamacpp)", llama, python(apps, LLAMA_READS)),
        Program("ramalama", llama, python(apps, RAMALAMA_READS)),
        Program("modelscope", bert, python(apps, MODELSCOPE_READS)),
    ]
    if older:
        found.insert(1, Program("huggingface_hub 0.36", bert, python(older, HUB_READS), python(older, HUB_WRITES)))
    if (base / "npm/node_modules").is_dir():
        script = base / "npm/client.mjs"
        script.write_text(NODE)
        found.append(
            Program(
                "@huggingface/hub",
                bert,
                lambda repo: ["node", script, repo, "reads"],
                lambda repo: ["node", script, repo, "writes"],
            )
        )
    rust = base / "hf-hub/target/debug/hf-hub-client"
    if rust.exists():
        found.append(Program("hf-hub", bert, lambda repo: [rust, repo, "reads"], lambda repo: [rust, repo, "writes"]))
    if options.llama:
        found.append(
            Program(
                "llama.cpp -hf",
                llama,
                llama_loop(options.llama, "--offline"),
                llama_loop(options.llama),
            )
        )
    return found


def llama_loop(binary, *flags):
    script = python_loop(
        "import subprocess",
        f"""
words = [{str(binary)!r}, "-hf", repo + ":Q8_0", "-p", "a", "-n", "2", "-no-cnv", "--no-warmup", *{list(flags)!r}]
done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
assert done.returncode == 0, done.stderr[-300:]
""",
    )
    return lambda repo: [sys.executable, "-c", script, repo]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hub", required=True, help="the program hfdl-test-hub")
    parser.add_argument("--hfdl", required=True, type=Path, help="the program hfdl")
    parser.add_argument("--hf", required=True, help="the newest official client")
    parser.add_argument("--old-hf", help="the last client before 1.0")
    parser.add_argument("--programs", required=True, type=Path, help="the directory of the installed programs")
    parser.add_argument("--llama", help="a llama-completion of llama.cpp")
    parser.add_argument("--only", action="append", help="a program by the beginning of its name")
    parser.add_argument("--turns", type=int, default=0, help="updates beside each program that writes")
    options = parser.parse_args()
    failures = []
    found = programs(options)
    a_ref_without_snapshot_is_put_right(options, found[0])
    for program in found:
        if options.only and not program.name.startswith(tuple(options.only)):
            continue
        try:
            reads_offline(options, program)
            if options.turns and program.writes:
                writes_beside(options, program, options.turns)
        except Failed as failure:
            print(f"FAILED: {program.name}: {failure}", flush=True)
            failures.append(program.name)
        sys.stdout.flush()
    if failures:
        sys.exit(f"failed: {', '.join(failures)}")


if __name__ == "__main__":
    main()
