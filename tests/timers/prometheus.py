#!/usr/bin/env python3
"""Asks promtool whether the metrics file and the alert rules are well made, and what the alerts do.

Usage: prometheus.py HFDL TEST_HUB PROMTOOL

The metrics are those of real runs: with nothing registered yet but a model, after an update, with nothing
due, and with a hub that is gone; one model's path needs escaping. promtool must also refuse spoilt ones, or
its praise would mean nothing.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = os.path.join(HERE, "..", "..", "cron-examples", "prometheus-rules.yml")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def promtool(program, *line, given=None):
    """Returns what it complains of; it ends with 3 for what is right and not as it should be."""
    ran = subprocess.run([program, *line], input=given, capture_output=True, text=True, check=False)
    return None if ran.returncode == 0 else f"exit {ran.returncode}: {ran.stdout}{ran.stderr}"


def metrics_of_runs(hfdl, test_hub, folder):
    """Yields the metrics file after each kind of run."""
    hub = subprocess.Popen(
        [test_hub, "--demo", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        file = os.path.join(folder, "hfdl.prom")
        env = {
            "HOME": folder, "PATH": "/usr/bin:/bin", "HFDL_HOME": os.path.join(folder, "home"),
            "HF_HUB_CACHE": os.path.join(folder, "cache"), "HF_ENDPOINT": hub.stdout.readline().strip(),
            "HFDL_DISK_RESERVE": "0", "HFDL_DOWNLOAD_RETRIES": "0", "HFDL_METRICS_FILE": file,
        }

        def run(*line, code=0):
            ran = subprocess.run([hfdl, *line], env=env, capture_output=True, text=True, check=False)
            if ran.returncode != code:
                raise SystemExit(f"{' '.join(line)}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")

        run("models", "add", "acme/tiny")
        run("models", "add", "datasets/acme/corpus", "--to", os.path.join(folder, 'a "b" \\ ü {c="d"}'))
        run("run-due")
        yield "nothing has run", read(file)
        run("schedules", "add", "hourly", "--every", "1h", "--all")
        run("run-due")
        yield "an update", read(file)
        run("run-due")
        yield "nothing due", read(file)
        hub.terminate()
        hub.wait()
        run("schedules", "add", "other", "--every", "2h", "--all")
        run("run-due", code=5)
        yield "the hub is gone", read(file)
    finally:
        hub.terminate()
        hub.wait()


def check_metrics(hfdl, test_hub, program, folder):
    n_families = []
    for when, text in metrics_of_runs(hfdl, test_hub, folder):
        complaint = promtool(program, "check", "metrics", given=text)
        assert complaint is None, f"{when}: {complaint}\n{text}"
        n_families.append(text.count("# TYPE "))
        for old, new in [
            ('{version="', "{version="),
            ("# TYPE hfdl_build_info gauge", "# TYPE hfdl_build_info counter"),
            ("# HELP hfdl_build_info", "# HALP hfdl_build_info"),
        ]:
            assert old in text
            spoilt = promtool(program, "check", "metrics", given=text.replace(old, new, 1))
            assert spoilt is not None, f"promtool likes {new}"
    # What is not known is left out.
    assert n_families[0] < n_families[-1] < n_families[1] >= 16, n_families


def check_rules(program, folder):
    complaint = promtool(program, "check", "rules", RULES)
    assert complaint is None, complaint
    rules, story = os.path.join(folder, "rules.yml"), os.path.join(folder, "story.yml")
    write(story, read(os.path.join(HERE, "prometheus-rules-test.yml")).replace("RULES", rules))
    write(rules, read(RULES))
    complaint = promtool(program, "test", "rules", story)
    assert complaint is None, complaint
    for old, new in [("> 2 * 900", "> 90 * 900"), ("last_tick_timestamp", "run_last_start_timestamp"), ("== 4", "== 40")]:
        spoilt = read(RULES).replace(old, new)
        assert spoilt != read(RULES)
        write(rules, spoilt)
        assert promtool(program, "test", "rules", story) is not None, f"the story is the same with {new}"


def main():
    hfdl, test_hub, program = (os.path.abspath(path) for path in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        check_metrics(hfdl, test_hub, program, folder)
        check_rules(program, folder)
    print("metrics of four kinds of runs and the alert rules: well made, and the alerts tell what they should")


main()
