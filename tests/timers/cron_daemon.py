#!/usr/bin/env python3
"""Has the cron daemon of this machine drive `hfdl start`, by the real clock and for two minutes.

Usage: cron_daemon.py HFDL TEST_HUB

The daemon is what the package cron installs, unchanged, in a mount namespace of its own with an empty
spool: no crontab of the machine is touched, and mail ends in a file. A revision that is published after
`hfdl start --every 1m` must be in the cache within two minutes, `hfdl status` must tell the tick, no
mail may come of it, and `hfdl stop` must leave the crontab as it was and no tick after it.

tests/it/timer_cron_daemon.rs does the same sixty times as fast, with a daemon whose clock is not real.
Needs root. Where that or a program is missing it says so and passes; for root in CI it fails.
"""

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

CRON, MAILER, CRONTABS = "/usr/sbin/cron", "/usr/sbin/sendmail", "/var/spool/cron/crontabs"
# The user's own line, which must stay and whose mail shows that mail would be seen.
BEFORE = "MAILTO=somebody\n* * * * * echo a line of the user\n# the end"
INSIDE = "HFDL_TEST_INSIDE"


def run(*line, **options):
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)


def must(*line, **options):
    ran = run(*line, **options)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(line)}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def missing():
    if os.getuid() != 0:
        return "not root"
    for program in [CRON, "crontab", "unshare", "mount"]:
        if shutil.which(program) is None:
            return f"there is no {program}"
    ran = run("unshare", "-m", "true")
    return ran.stderr.strip() if ran.returncode else None


def cover(folder):
    """Covers what cron would read, write or start; returns its own copy and where mail goes."""
    must("mount", "--make-rprivate", "/")
    must("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    must("mount", "-t", "tmpfs", "-o", "mode=1730,gid=crontab", "tmpfs", CRONTABS)
    cron, mail = os.path.join(folder, "cron"), os.path.join(folder, "mail")
    shutil.copy2(CRON, cron)
    # The name of the mailer is fixed in cron; here it is the only program of its folder.
    must("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", os.path.dirname(MAILER))
    with open(MAILER, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\ncat >>'{mail}'\n")
    os.chmod(MAILER, 0o755)
    os.mkdir("/run/nothing")
    must("mount", "--bind", "/dev/null", "/etc/crontab")
    must("mount", "--bind", "/run/nothing", "/etc/cron.d")
    return cron, mail


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def wait_for(what, holds, seconds):
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - began


def drive(hfdl, endpoint, cron, mail, folder):
    home, cache = os.path.join(folder, "home"), os.path.join(folder, "cache")
    ours = {
        "HOME": folder, "PATH": "/usr/bin:/bin", "HFDL_HOME": home, "HF_HUB_CACHE": cache, "HF_ENDPOINT": endpoint,
    }

    def ask(*line):
        return must(hfdl, *line, env=ours)

    def published():
        return read(os.path.join(cache, "models--acme--tiny/refs/main"))

    must("crontab", "-", input=BEFORE)
    before = must("crontab", "-l")
    ask("config", "set", "disk.reserve", "1M")
    ask("models", "add", "acme/tiny")
    ask("download", "acme/tiny")
    ask("schedules", "add", "always", "--cron", "* * * * *", "--all")
    first = published()
    # Cron sees by the second whether a crontab is another one than it has read.
    time.sleep(1.1)
    daemon = subprocess.Popen([cron, "-f"], env={}, stdin=subprocess.DEVNULL)
    try:
        said = ask("start", "--every", "1m")
        assert "timer installed (crontab)" in said, said
        assert must("crontab", "-l").startswith(before)
        urllib.request.urlopen(f"{endpoint}/__hub__/publish", data=b"", timeout=10).close()
        began = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        took = wait_for("a new revision in the cache", lambda: published() not in ("", first), 120)

        # The session is closed a moment after the revision is published.
        wait_for("the end of the run", lambda: json.loads(ask("status", "--json"))["run"] is None, 10)
        status = json.loads(ask("status", "--json"))
        tick = datetime.datetime.fromisoformat(status["last_timer_tick_at"].replace("Z", "+00:00"))
        assert began <= tick <= datetime.datetime.now(datetime.timezone.utc), status
        assert status["healthy"] and status["timer"]["installed"] and status["timer"]["backend"] == "crontab", status
        assert status["models"][0]["last_outcome"] == "updated", status
        text = ask("status")
        told = next(line for line in text.splitlines() if line.startswith("last tick"))
        assert told.split()[-1] != "-", text

        assert "timer removed (crontab)" in ask("stop", "--wait=30s")
        assert must("crontab", "-l") == before
        # The minute after next, so that a minute without us has passed.
        mails = read(mail).count("a line of the user")
        wait_for("a minute without us", lambda: read(mail).count("a line of the user") >= mails + 1, 70)
        after = json.loads(ask("status", "--json"))
        assert after["last_timer_tick_at"] == status["last_timer_tick_at"], after
        assert "hfdl" not in read(mail), read(mail)
    finally:
        daemon.terminate()
        daemon.wait()
    return took


def inside(hfdl, test_hub, folder):
    cron, mail = cover(folder)
    line = [test_hub, "--demo", "--port", "0"]
    hub = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        endpoint = hub.stdout.readline().strip()
        took = drive(hfdl, endpoint, cron, mail, folder)
    finally:
        hub.terminate()
        hub.wait()
    print(f"cron published a new revision within {took:.0f} s and was silent")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
    hfdl, test_hub = (os.path.abspath(path) for path in sys.argv[1:])
    if INSIDE in os.environ:
        inside(hfdl, test_hub, os.environ[INSIDE])
        return
    why = missing()
    if why:
        if os.environ.get("CI") and os.getuid() == 0:
            raise SystemExit(why)
        print(f"skipped: {why}")
        return
    with tempfile.TemporaryDirectory() as folder:
        line = ["unshare", "-m", sys.executable, os.path.abspath(__file__), hfdl, test_hub]
        code = subprocess.run(line, env={**os.environ, INSIDE: folder}, check=False).returncode
    sys.exit(code)


main()
