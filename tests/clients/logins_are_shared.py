"""Shows that hfdl and the official client renew a login beside each other.

Both find the same login in its last day, and the hub takes each refresh token once. Several processes of
both start at once behind the client's own lock. The first renews; the others have to take over
its token: a second renewal with the same refresh token would be refused, and the login lost.

Start it through `tests/clients/run`.
"""

import argparse
import configparser
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

from hfdl_program import Hfdl
from hub_program import Hub, write
from official_client import Client, Failed, check

ROUNDS = 4
ASKS = "from huggingface_hub import get_token; print(get_token())"


class Login:
    """The files of a login that ends within the day."""

    def __init__(self, home):
        self.token = Path(home) / "token"
        self.stored = Path(home) / "stored_tokens"
        self.lock = str(self.stored) + ".lock"

    def write(self, access, refresh):
        self.token.write_text(access)
        self.stored.write_text(
            "# written by hand\n[other]\nhf_token = hf_other_token\n\n"
            f"[kim]\nhf_token = {access}\nrefresh_token = {refresh}\nexpires_at = {int(time.time()) + 3600}\n"
        )

    def fields(self):
        read = configparser.ConfigParser(interpolation=None)
        read.read(self.stored, encoding="utf-8")
        return dict(read.items("kim"))


def renewals(hub):
    return [line for line in hub.requests() if " POST /oauth/token" in line]


def log_in(hub, access, refresh):
    url = f"{hub.url}/__hub__/login?access={access}&refresh={refresh}"
    urllib.request.urlopen(urllib.request.Request(url, method="POST"))


def race(hub, client, programs, login, number):
    access, refresh = f"hf_oauth_of_round_{number}", f"hf_refresh_of_round_{number}"
    log_in(hub, access, refresh)
    login.write(access, refresh)
    before = len(renewals(hub))
    python = Path(client.hf).parent / "python"
    with WeakFileLock(login.lock):
        started = [
            subprocess.Popen([python, "-c", ASKS], env=client.environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        started += [
            subprocess.Popen(
                [program.program, "download", "acme/tiny", "-q"],
                env=program.environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for program in programs
        ]
        # Until all of them wait for the lock.
        time.sleep(3)
        check(len(renewals(hub)) == before, f"round {number}: no process renews while another holds the lock")
    printed = [process.communicate(timeout=60)[0].strip() for process in started]
    check(all(process.returncode == 0 for process in started), f"round {number}: all succeed")
    done = [line.split()[-1] for line in renewals(hub)[before:]]
    check(done == ["200"], f"round {number}: one of them renews, the others take over ({done})")
    fields = login.fields()
    check(printed[:2] == [fields["hf_token"]] * 2, f"round {number}: the official client has the new token")
    check(login.token.read_text() == fields["hf_token"] != access, f"round {number}: both files have it")
    check(fields["refresh_token"] != refresh, f"round {number}: the next refresh token is kept")
    for path in (login.token, login.stored):
        check(stat.S_IMODE(path.stat().st_mode) == 0o600, f"round {number}: {path.name} is private")


def alone(hub, client, program, login):
    """hfdl renews by itself; the official client goes on with its files."""
    log_in(hub, "hf_oauth_alone", "hf_refresh_alone")
    login.write("hf_oauth_alone", "hf_refresh_alone")
    program.download("acme/tiny")
    text = login.stored.read_text()
    check(text.startswith("# written by hand\n[other]\n"), "hfdl leaves comments and order as they are")
    listed = client.succeeds("auth", "list")
    check("kim" in listed and "other" in listed, "the official client lists the tokens of hfdl's file")
    check(client.succeeds("auth", "whoami") != "", "and is logged in with the renewed one")
    n_renewals = len(renewals(hub))
    python = Path(client.hf).parent / "python"
    subprocess.run([python, "-c", ASKS], env=client.environment, check=True, capture_output=True)
    check(len(renewals(hub)) == n_renewals, "it believes the end that hfdl wrote")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hub", required=True)
    parser.add_argument("--hfdl", required=True)
    parser.add_argument("--hf", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        write(scratch / "repos", "model", "acme/tiny", "main", {"config.json": b"{}\n"})
        home = scratch / "home"
        home.mkdir()
        with Hub(options.hub, scratch / "repos", scratch) as hub:
            client = Client(options.hf, hub.url, home)
            programs = [Hfdl(options.hfdl, client, scratch / f"state-{n}") for n in range(2)]
            login = Login(home)
            for number in range(ROUNDS):
                race(hub, client, programs, login, number)
            alone(hub, client, programs[0], login)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"failed: {failure}")
