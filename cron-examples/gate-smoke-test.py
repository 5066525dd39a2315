#!/usr/bin/env python3
"""A gate that loads each new GGUF file into the server of llama.cpp and asks it for a few tokens.

When to use: a service restarts with each new revision, and must not restart with one that does not load.
Install: xllamacpp, which brings llama.cpp, into a virtual environment, and give the setting `hooks.gate`
the value `["/opt/gate/bin/python", "/usr/local/lib/hfdl/gate-smoke-test.py"]`. If loading takes long,
`hfdl config set hooks.gate_timeout 1h`.

hfdl starts it for each new commit before readers see it; HFDL_PATH is the folder of the files. A file that
does not load or does not answer holds the update. Of a model in shards the first one loads the others.
"""

import json
import os
import re
import sys
import urllib.request
from pathlib import Path

import xllamacpp


def answer(model):
    """Returns the text that the server makes of a prompt."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx, parameters.port, parameters.warmup = 64, 0, False
    server = xllamacpp.Server(parameters)
    request = urllib.request.Request(
        f"{server.listening_address}/v1/completions",
        json.dumps({"prompt": "a", "max_tokens": 4}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)["choices"][0]["text"]


def is_loaded_by_another(name):
    """Tells whether a file is a later shard, or the projector of a model."""
    is_shard = re.search(r"-of-\d+\.gguf$", name) is not None
    return is_shard and "-00001-of-" not in name or name.startswith("mmproj")


def main():
    for model in sorted(Path(os.environ["HFDL_PATH"]).rglob("*.gguf")):
        if not is_loaded_by_another(model.name):
            try:
                print(f"{model.name} answers {answer(model)!r}")
            except Exception as problem:
                sys.exit(f"{model.name}: {problem}")


if __name__ == "__main__":
    main()
