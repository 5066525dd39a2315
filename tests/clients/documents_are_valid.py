"""Shows that JSON and YAML documents are what their schemas and other readers say.

The `jsonschema` of Python checks each schema and holds documents against it. PyYAML, which reads
version 1.1, must find in each YAML output the same values as in the JSON, whatever a name looks like.

Start it through `tests/clients/run`.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from official_client import Failed, check

# Names that version 1.1 takes for other types unless they are quoted.
NAMES = ["no", "on", "y", "2026-03-01", "1_000", "1234e5", "0x1f", "017", "null", "8.30"]

LINES = [
    "models list",
    "models show no",
    "schedules list",
    "schedules show noon",
    "schedules next",
    "tags list",
    "config list",
    "config get status.file",
    "status",
    "doctor",
    "logs",
    "views list",
    "updates list",
    "sessions list",
    "runs list",
    "run-due --dry-run --at 2026-03-01T00:00:00Z",
    "prune --dry-run",
    "report",
    "schema",
    "export",
]

# These differ between two calls.
CHANGING = {"at", "until", "free_bytes"}


class Home:
    def __init__(self, program, place):
        self.program = str(program.resolve())
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "HFDL_HOME": str(place / "state"),
            "HF_HUB_CACHE": str(place / "hub"),
            "HF_ENDPOINT": "http://127.0.0.1:1",
            "TZ": "UTC",
        }

    def run(self, line, *more):
        done = subprocess.run(
            [self.program, *line.split(), *more],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode not in (0, 1):
            raise Failed(f"`hfdl {line}` exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def without_changing(value):
    if isinstance(value, dict):
        return {key: without_changing(it) for key, it in value.items() if key not in CHANGING}
    if isinstance(value, list):
        return [without_changing(it) for it in value]
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hfdl", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Home(arguments.hfdl, Path(place))
        for name in NAMES:
            home.run(f"models add acme/m{NAMES.index(name)} --no-check --name {name} --tag {name}")
        home.run("schedules add noon --daily 12:30 --all --window 08:30-09:00")
        home.run("schedules add once --once 2030-01-01T00:00:00Z --model no")
        home.run("config set status.file", f"{place}/on")
        schemas = {}
        for entry in json.loads(home.run("schema --json"))["schemas"]:
            schema = json.loads(home.run(f"schema {entry['name']}"))
            Draft202012Validator.check_schema(schema)
            schemas[entry["title"]] = Draft202012Validator(
                schema, format_checker=Draft202012Validator.FORMAT_CHECKER
            )
        for line in LINES:
            document = json.loads(home.run(line, "--format", "json"))
            schemas[document.get("schema", "export")].validate(document)
            read = yaml.safe_load(home.run(line, "--format", "yaml"))
            same = without_changing(read) == without_changing(document)
            check(same, f"`hfdl {line}` has the same values in YAML and in JSON")
        exported = yaml.safe_load(home.run("export"))
        names = {model["name"] for model in exported["models"]}
        check(names == set(NAMES), "an exported name is the text that it was")
    print(f"{len(schemas)} schemas and {len(LINES)} documents are right for other readers")


if __name__ == "__main__":
    main()
