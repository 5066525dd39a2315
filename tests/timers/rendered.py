#!/usr/bin/env python3
"""Asks the judges of each format whether the entries of `hfdl start`, and the examples, are well made.

Usage: rendered.py HFDL

The entries come from `hfdl start --dry-run --json`, for homes and variables that need quoting and
for every period. Judges: systemd-analyze for units, Python's plistlib for launchd, xmllint with the Task
Scheduler's schema (task.xsd) for tasks, Debian's crontab for lines.
Each judge must also refuse a spoilt entry, or its praise would mean nothing.
"""

import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

PERIODS = ["1m", "2m", "3m", "4m", "5m", "6m", "10m", "12m", "15m", "20m", "30m", "1h"]
HOMES = ["state", "my state & <more>", 'quotes "x" $HOME 100% ~', "ümläut"]
NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "task.xsd")


class Refused(Exception):
    """A judge found a fault."""


def entry(program, home, backend, *flags):
    """Returns the dry run as a document; the world is empty but for a home."""
    line = [program, "start", "--dry-run", "--json", "--backend", backend, "--home", home, *flags]
    ran = subprocess.run(
        line, capture_output=True, text=True, env={"HOME": os.path.dirname(home), "PATH": "/nonexistent"}, check=False
    )
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(line)}: {ran.stderr}")
    return json.loads(ran.stdout)


def files(document):
    return {os.path.basename(step["write"]): step["text"] for step in document["steps"] if "write" in step}


def judge_units(units, folder, manager="--user"):
    for name, text in units.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    paths = [os.path.join(folder, name) for name in units]
    ran = subprocess.run(
        ["systemd-analyze", manager, "--man=no", "verify", *paths],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": folder, "HOME": folder, "PATH": os.environ["PATH"]},
        check=False,
    )
    # What it says of other units of this machine is none of our business.
    ours = [line for line in ran.stderr.splitlines() if "hfdl" in line]
    if ours or (ran.returncode != 0 and not ran.stderr):
        raise Refused(ran.stderr)


def arguments_of_unit(text):
    """Takes ExecStart apart as systemd.service(5) says, for words in double quotes or without."""
    line = re.search(r"^ExecStart=(.*)$", text, re.M).group(1)
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    words = [re.sub(r"\\(.)", r"\1", quoted) or plain for quoted, plain in words]
    return [words[0].replace("%%", "%")] + [word.replace("%%", "%").replace("$$", "$") for word in words[1:]]


def judge_plist(text):
    try:
        agent = plistlib.loads(text.encode())
    except Exception as error:
        raise Refused(error) from error
    kinds = {
        "Label": str, "ProgramArguments": list, "StartCalendarInterval": list, "RunAtLoad": bool, "ProcessType": str,
        "LowPriorityIO": bool, "Nice": int, "ExitTimeOut": int, "LimitLoadToSessionType": str,
        "EnvironmentVariables": dict, "UserName": str,
    }
    for key, value in agent.items():
        if type(value) is not kinds.get(key):
            raise Refused(f"{key}: {value!r}")
    for moment in agent["StartCalendarInterval"]:
        if set(moment) != {"Minute"} or type(moment["Minute"]) is not int or not 0 <= moment["Minute"] < 60:
            raise Refused(moment)
    if not all(isinstance(word, str) for word in agent["ProgramArguments"]):
        raise Refused(agent["ProgramArguments"])
    return agent


def judge_task(text, folder):
    data = "\ufeff".encode("utf-16-le") + text.encode("utf-16-le")
    path = os.path.join(folder, "task.xml")
    with open(path, "wb") as file:
        file.write(data)
    if shutil.which("xmllint"):
        line = ["xmllint", "--noout", "--schema", SCHEMA, path]
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise Refused(ran.stderr)
    return ElementTree.fromstring(data)


def arguments_of_task(root):
    """Takes the arguments apart as programs on Windows do."""
    text = root.find(f".//{NAMESPACE}Arguments").text
    words, word, quoted, at = [], None, False, 0
    while at < len(text):
        slashes = len(re.match(r"\\*", text[at:]).group())
        if slashes and text[at + slashes : at + slashes + 1] == '"':
            word = (word or "") + "\\" * (slashes // 2)
            at += slashes
            if slashes % 2:
                word, at = word + '"', at + 1
                continue
        elif slashes:
            word, at = (word or "") + "\\" * slashes, at + slashes
            continue
        char = text[at]
        at += 1
        if char == '"':
            quoted, word = not quoted, word or ""
        elif char in " \t" and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + char
    return words + ([word] if word is not None else [])


def judge_crontab(lines, folder):
    path = os.path.join(folder, "crontab")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lines)
    # Debian's `-n` checks the syntax and installs nothing.
    ran = subprocess.run(["crontab", "-n", path], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(ran.stderr)


def arguments_of_line(lines):
    """Has a shell take the command apart."""
    command = lines.splitlines()[1].split(None, 5)[5]
    script = f'set -- {command}\nfor word do printf "%s\\0" "$word"; done'
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    return words.split("\0")[:-1]


def must_refuse(judge, *arguments):
    try:
        judge(*arguments)
    except Refused:
        return
    raise SystemExit(f"a spoilt entry passes {judge.__name__}")


def judged_tools():
    """Says which judges are there; in CI all of them must be."""
    found = {name: shutil.which(name) is not None for name in ["systemd-analyze", "xmllint", "crontab"]}
    missing = [name for name, there in found.items() if not there]
    if missing and os.environ.get("CI"):
        raise SystemExit(f"missing: {', '.join(missing)}")
    for name in missing:
        print(f"skipped: there is no {name}")
    return found


def check(program, home, period, folder, there):
    expected = [program, "--home", home, "run-due", "--trigger", "timer"]
    units = files(entry(program, home, "systemd", "--every", period))
    service = next(name for name in units if name.endswith(".service"))
    assert arguments_of_unit(units[service]) == expected, units[service]
    if there["systemd-analyze"]:
        judge_units(units, folder)
    (plist,) = files(entry(program, home, "launchd", "--every", period)).values()
    agent = judge_plist(plist)
    assert agent["ProgramArguments"] == expected, agent
    minutes = [moment["Minute"] for moment in agent["StartCalendarInterval"]]
    (task,) = files(entry(program, home, "task-scheduler", "--every", period)).values()
    assert arguments_of_task(judge_task(task, folder)) == expected[1:], task
    if not re.search(r"[%'\\]", home):
        (step,) = entry(program, home, "crontab", "--every", period)["steps"]
        lines = step["crontab"]
        assert arguments_of_line(lines) == expected, lines
        listed = lines.splitlines()[1].split()[0]
        assert listed == ("*" if period == "1m" else ",".join(map(str, minutes))), lines
        if there["crontab"]:
            judge_crontab(lines, folder)


def check_variables(program, home, folder, there):
    flags = ["--env", "NO_PROXY=localhost, .example.org", "--env", "HTTPS_PROXY=http://proxy:3128"]
    units = files(entry(program, home, "systemd", *flags))
    if there["systemd-analyze"]:
        judge_units(units, folder)
    (plist,) = files(entry(program, home, "launchd", *flags)).values()
    expected = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, .example.org"}
    assert judge_plist(plist)["EnvironmentVariables"] == expected, plist
    (step,) = entry(program, home, "crontab", *flags)["steps"]
    words = arguments_of_line(step["crontab"])
    assert words[:3] == ["/usr/bin/env", *(f"{name}={value}" for name, value in expected.items())], words


def check_examples(program, folder, there):
    """The units, the property list and the task that people copy."""
    examples = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "cron-examples")

    def read(name):
        with open(os.path.join(examples, name), encoding="utf-8") as file:
            return file.read()

    if there["systemd-analyze"]:
        units = {f"hfdl.{kind}": read(f"systemd-hfdl.{kind}") for kind in ["service", "timer"]}
        units = {name: text.replace("/usr/local/bin/hfdl", program) for name, text in units.items()}
        judge_units(units, folder, "--system")
        must_refuse(judge_units, {name: text.replace("Protect", "Protekt") for name, text in units.items()}, folder, "--system")
    agent = judge_plist(read("launchd.plist"))
    assert agent["ProgramArguments"][1:] == [
        "--home", "/Users/models/Library/Application Support/hfdl", "run-due", "--trigger", "timer",
    ], agent
    # Kept as UTF-8 for those who read it; a task in UTF-16 would say so in its first line.
    task = judge_task(read("task-scheduler.xml"), folder)
    assert arguments_of_task(task) == ["run-due", "--trigger", "timer"]
    if there["crontab"]:
        judge_crontab(read("crontab"), folder)


def check_judges(program, home, folder, there):
    """A judge that refuses nothing is none."""
    units = files(entry(program, home, "systemd"))
    if there["systemd-analyze"]:
        for old, new in [("Persistent=", "Persistant="), ("OnCalendar=", "OnCalendar=25:"), (program, "/none/hfdl")]:
            must_refuse(judge_units, {name: text.replace(old, new) for name, text in units.items()}, folder)
    (plist,) = files(entry(program, home, "launchd")).values()
    for old, new in [("</array>", ""), ("<true/>", ""), ("<integer>10</integer>", "<string>10</string>")]:
        must_refuse(judge_plist, plist.replace(old, new, 1))
    (task,) = files(entry(program, home, "task-scheduler")).values()
    boundary = re.search(r" *<StartBoundary>.*\n", task).group()
    for spoilt in [
        task.replace(boundary, "").replace("      <Repetition>", boundary + "      <Repetition>"),
        task.replace('Context="Author"', 'Context="Other"'),
        task.replace("IgnoreNew", "Ignore"),
        task.replace("PT15M", "PT30S"),
        task.replace("<Priority>7", "<Priority>11"),
        task.replace("<Hidden>false", "<Hidden>no"),
        task.replace("</Task>", ""),
    ]:
        assert spoilt != task
        if there["xmllint"]:
            must_refuse(judge_task, spoilt, folder)
    if there["crontab"]:
        must_refuse(judge_crontab, "61 * * * * true\n", folder)


def main():
    (program,) = sys.argv[1:]
    program = os.path.abspath(program)
    there = judged_tools()
    with tempfile.TemporaryDirectory() as folder:
        for name in HOMES:
            check(program, os.path.join(folder, name), "15m", folder, there)
        for period in PERIODS:
            check(program, os.path.join(folder, "state"), period, folder, there)
        odd = os.path.join(folder, "a % $HOME b", "hfdl")
        os.makedirs(os.path.dirname(odd))
        shutil.copy(program, odd)
        if there["systemd-analyze"]:
            judge_units(files(entry(odd, os.path.join(folder, "state"), "systemd")), folder)
        check_variables(program, os.path.join(folder, "state"), folder, there)
        check_examples(program, folder, there)
        check_judges(program, os.path.join(folder, "state"), folder, there)
    print(f"{len(HOMES) + len(PERIODS)} homes and periods, four formats, and the examples: well made")


main()
