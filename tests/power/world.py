"""The Hub with moving revisions, and the files of each commit that it ever published."""

import json
import os
import random
import shutil
import socket
import subprocess
import urllib.request

KIB, MIB = 1 << 10, 1 << 20
LARGE, SMALL, FOLDER = "acme/large", "acme/small", "acme/folder"
MODELS = [LARGE, SMALL, FOLDER]
LARGE_BYTES = 12 * MIB


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class World:
    def __init__(self, test_hub, folder, seed):
        self.dice = random.Random(seed)
        self.folder = os.path.join(folder, "hub")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.commits, self.newest, self.turn = {model: {} for model in MODELS}, {}, 0
        self.files = {model: {} for model in MODELS}
        for model in MODELS:
            self.change(model)
        self.ports = [free_port(), free_port()]
        line = [test_hub, "--dir", self.folder, "--port", str(self.ports[0]), "--cdn-port", str(self.ports[1])]
        self.hub = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.endpoint = self.hub.stdout.readline().strip()
        self.learn(MODELS)

    def close(self):
        self.hub.terminate()
        self.hub.wait()

    def publish(self, models):
        """Publishes another revision of some models."""
        for model in models:
            self.change(model)
        urllib.request.urlopen(f"{self.endpoint}/__hub__/publish", data=b"", timeout=30).close()
        self.learn(models)

    def learn(self, models):
        for model in models:
            with urllib.request.urlopen(f"{self.endpoint}/api/models/{model}", timeout=30) as answer:
                commit = json.load(answer)["sha"]
            self.newest[model] = commit
            self.commits[model][commit] = dict(self.files[model])

    def change(self, model):
        self.turn += 1
        files = self.files[model]
        files["config.json"] = json.dumps({"turn": self.turn}).encode()
        if model == LARGE:
            files["README.md"] = b"a large file\n"
            files["model.safetensors"] = self.dice.randbytes(LARGE_BYTES)
        elif model == SMALL:
            changed = range(150) if len(files) == 1 else self.dice.sample(range(150), 40)
            for number in changed:
                files[f"parts/{number % 7}/{number}.txt"] = self.dice.randbytes(self.dice.randint(1, 8 * KIB))
        else:
            for number in range(8):
                files[f"voice-{number}.bin"] = self.dice.randbytes(self.dice.randint(1, 64 * KIB))
            files["weights.bin"] = self.dice.randbytes(3 * MIB // 2)
        self.store(model)

    def store(self, model):
        root = os.path.join(self.folder, "models", model, "main")
        for name, data in self.files[model].items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            # A new file in place of the old one: the hub may still have the old one open.
            with open(path + ".new", "wb") as file:
                file.write(data)
            os.rename(path + ".new", path)
