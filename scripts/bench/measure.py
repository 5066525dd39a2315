"""What the benchmarks of short commands share: finding programs, timing in turn, memory."""

import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
# Something hangs when a command takes longer; the slowest, `hf`, takes about a second.
LIMIT_SECONDS = 60


def fresh_folder(name):
    """Makes an empty folder for a benchmark below `target`, and sees to it that nothing hangs."""
    signal.signal(signal.SIGALRM, too_slow)
    work = TARGET / "bench" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def environment_in(work, home):
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(work),
        "HFDL_HOME": str(home),
        "HF_HOME": str(work / "hf"),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def find_program(given):
    if given:
        return given.resolve()
    program = TARGET / "release" / "hfdl"
    if not program.exists():
        subprocess.run(["cargo", "build", "--release", "--locked", "--package", "hfdl"], cwd=ROOT, check=True)
    return program


def find_hub():
    hub = TARGET / "release" / "hfdl-test-hub"
    if not hub.exists():
        subprocess.run(["cargo", "build", "--release", "--locked", "--package", "hfdl-test-hub"], cwd=ROOT, check=True)
    return hub


@contextlib.contextmanager
def served(hub, folder, *options):
    """Serves a folder by `hfdl-test-hub` and gives the address."""
    with subprocess.Popen([hub, *options, "--dir", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def find_hf():
    venv = Path(os.environ.get("HFDL_CLIENTS_VENV") or TARGET / "clients-venv")
    hf = venv / "bin" / "hf"
    try:
        if not hf.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=300)
            install = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "huggingface_hub>=2.4,<3"]
            subprocess.run(install, check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as problem:
        print(f"without `hf`: {problem}", file=sys.stderr)
        return None
    return hf


def measure(commands, n_rounds):
    """Returns the seconds that each command took in each round; a command is its words and environment."""
    walls = {name: [] for name in commands}
    dice = random.Random(1)
    for round_number in range(n_rounds + 1):
        order = list(commands)
        dice.shuffle(order)
        for name in order:
            seconds = run_once(*commands[name])
            # The first round only brings the files into memory.
            if round_number > 0:
                walls[name].append(seconds)
    return walls


def run_once(command, environment):
    # Not `wait(timeout)`, which looks now and then only, too seldom for milliseconds.
    signal.alarm(LIMIT_SECONDS)
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code = process.wait()
        seconds = time.perf_counter() - start
    finally:
        signal.alarm(0)
        process.kill()
    if code != 0:
        sys.exit(f"error: exit {code} from {' '.join(command)}")
    return seconds


def too_slow(_signal, _frame):
    sys.exit(f"error: a command did not end within {LIMIT_SECONDS} s")


def peak_bytes(command, environment):
    """Returns the peak memory, or None where there is no /proc.

    The kernel's own record for an ended child counts what the parent held before the program was
    started, which for a parent in Python is more than most of these programs use. So the peak is read
    while the program runs, as often as possible; it only ever grows, and the last reading counts.
    """
    if not Path("/proc/self/status").exists():
        return None
    highest = 0
    for _ in range(5):
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            status = f"/proc/{process.pid}/status"
            while process.poll() is None:
                try:
                    with open(status, encoding="ascii", errors="replace") as lines:
                        peaks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
                except OSError:
                    break
                highest = max([highest, *(int(peak) * 1024 for peak in peaks)])
    return highest or None


def ratios(walls, name, reference):
    """Writes how much slower one command is than another: median [lowest-highest] of the rounds."""
    found = [own / other for own, other in zip(walls[name], walls[reference])]
    return f"{statistics.median(found):.3g} [{min(found):.3g}-{max(found):.3g}]"


def report(commands, walls, reference):
    n_rounds = len(walls[reference])
    print(f"{n_rounds} rounds in turn; ratios to {reference}, taken within each round: median [lowest-highest]")
    print(f"{'command':<22}{'wall ms':>9}  {'ratio':<22}{'peak MB':>9}")
    for name, (command, environment) in commands.items():
        peak = peak_bytes(command, environment)
        memory = f"{peak / 1e6:.1f}" if peak else "-"
        wall = statistics.median(walls[name]) * 1e3
        print(f"{name:<22}{wall:>9.1f}  {ratios(walls, name, reference):<22}{memory:>9}")
