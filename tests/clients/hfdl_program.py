"""The program `hfdl`, alone with one hub and the home of an official client."""

import json
import subprocess

from official_client import Failed


class Hfdl:
    """Works on the cache of a client, with that client's settings and a state of its own."""

    def __init__(self, program, client, state):
        self.program = str(program)
        # The weights are random bytes, with a header that does not fit them.
        self.environment = client.environment | {"HFDL_HOME": str(state), "HFDL_UPDATE_GUARDS": "all,-bad-header"}

    def download(self, *words):
        """Returns the session of the one repository that the words name."""
        (session,) = self.document("download", *words)["sessions"]
        return session

    def document(self, *words):
        """Returns the document of a command."""
        done = subprocess.run(
            [self.program, "--json", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            command = " ".join(map(str, words))
            raise Failed(f"`hfdl {command}` exited {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)


def argument(kind, repo):
    """Returns how hfdl names a repository."""
    return repo if kind == "model" else f"{kind}s/{repo}"
