"""What must hold of the disk of the machine, right after a power cut and after the next run."""

import hashlib
import json
import os
import re
import sqlite3
import tempfile

from machine import Link
from world import FOLDER, MODELS

SCHEDULE = "SELECT last_slot_at, open_slot_at FROM schedules WHERE name = 'nightly'"
OPEN = "SELECT (SELECT count(*) FROM runs WHERE outcome IS NULL) + (SELECT count(*) FROM sessions WHERE outcome IS NULL)"
DONE_TWICE = """SELECT model_name, schedule_name, slot_at, count(*) FROM sessions
    WHERE outcome IN ('updated', 'up-to-date', 'repaired')
    GROUP BY model_name, schedule_name, slot_at HAVING count(*) > 1"""
SESSIONS_OF = "SELECT count(*) FROM sessions WHERE slot_at = ?"
CONTINUED = """SELECT count(*) FROM sessions JOIN session_files ON session_id = sessions.id
    WHERE model_name = 'acme/large' AND outcome = 'updated' AND session_files.path = 'model.safetensors'
    AND session_files.bytes_reused > 0 AND session_files.bytes_fetched > 0"""


class Broken(Exception):
    """A promise that does not hold."""


def must(holds, problem):
    if not holds:
        raise Broken(problem)


def cache_folder(model):
    return "cache/models--" + model.replace("/", "--")


def below(files, folder):
    return {name[len(folder) + 1 :]: name for name in files if name.startswith(folder + "/") and files[name] is not None}


def bytes_of(files, name):
    """Returns what a reader of a name gets, through its symbolic links; `None` where that is nothing."""
    for _ in range(8):
        found = files.get(name)
        if not isinstance(found, Link):
            return found
        name = os.path.normpath(os.path.join(os.path.dirname(name), found))
    return None


def readers_see_whole_and_verified_files(files, world):
    """Holds at every instant, whatever was interrupted."""
    for model in MODELS:
        if model == FOLDER:
            files_of_a_folder_are_of_some_revision(files, world)
            continue
        folder = cache_folder(model)
        for short, name in below(files, f"{folder}/blobs").items():
            must(short in hashes(files[name]), f"`{name}` has other bytes than its name says ({len(files[name])})")
        for short, name in below(files, f"{folder}/refs").items():
            commit = files[name].decode(errors="replace")
            must(commit in world.commits[model], f"`{name}` holds `{commit}`, which was never published")
            must(f"{folder}/snapshots/{commit}" in files, f"`{name}` names {commit}, which has no snapshot")
        for commit in {short.split("/")[0] for short in folders_below(files, f"{folder}/snapshots")}:
            must(commit in world.commits[model], f"`{folder}` has a snapshot of `{commit}`")
            snapshot_is_whole(files, f"{folder}/snapshots/{commit}", world.commits[model][commit])
        for name in below(files, f"{folder}/trees").values():
            must(is_json(files[name]), f"`{name}` is no JSON")
        known = {"blobs", "refs", "snapshots", "trees", ".hfdl", "CACHEDIR.TAG"}
        others = {short.split("/")[0] for short in folders_below(files, folder)} - known
        must(not others, f"`{folder}` has {sorted(others)}")


def folders_below(files, folder):
    return [name[len(folder) + 1 :] for name in files if name.startswith(folder + "/")]


def snapshot_is_whole(files, snapshot, expected):
    found = below(files, snapshot)
    must(set(found) == set(expected), f"`{snapshot}` has {len(found)} of {len(expected)} files")
    for name, data in expected.items():
        must(bytes_of(files, found[name]) == data, f"`{snapshot}/{name}` has wrong bytes")


def files_of_a_folder_are_of_some_revision(files, world):
    """Files of a directory get their names one by one, each of them whole."""
    revisions = world.commits[FOLDER].values()
    for short, name in below(files, "folder").items():
        if short.startswith((".hfdl/", ".cache/")):
            continue
        published = any(revision.get(short) == files[name] for revision in revisions)
        must(published, f"`{name}` has bytes that were never published ({len(files[name])})")


def hashes(data):
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return {hashlib.sha256(data).hexdigest(), git}


def is_json(data):
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


class Database:
    """The database as SQLite finds it after the cut, on a copy."""

    def __init__(self, files):
        must(files.get("home/hfdl.db"), "the database is gone")
        self.folder = tempfile.TemporaryDirectory()
        for ending in ["", "-wal", "-journal"]:
            data = files.get(f"home/hfdl.db{ending}")
            if data is not None:
                with open(os.path.join(self.folder.name, f"hfdl.db{ending}"), "wb") as file:
                    file.write(data)
        self.connection = sqlite3.connect(os.path.join(self.folder.name, "hfdl.db"))

    def ask(self, sql, *values):
        try:
            return self.connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as err:
            raise Broken(f"the database: {err} ({sql})") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.folder.cleanup()


def database_is_whole(database):
    must(database.ask("PRAGMA integrity_check") == [("ok",)], "the database is damaged")
    must(database.ask("PRAGMA foreign_key_check") == [], "the database has rows without their parents")


def status_file_is_whole(files):
    status = files.get("home/status.json")
    must(status is None or is_json(status), f"`status.json` is no JSON: {status}")


def state_is_sound(files, world, served):
    """Checks a disk as a power cut left it. `served` are slots whose run had ended well, with their sessions."""
    readers_see_whole_and_verified_files(files, world)
    status_file_is_whole(files)
    with Database(files) as database:
        database_is_whole(database)
        names = database.ask("SELECT name FROM models ORDER BY name")
        must(names == [(name,) for name in sorted(MODELS)], f"the database has the models {names}")
        twice = database.ask(DONE_TWICE)
        must(not twice, f"served twice: {twice}")
        last = database.ask(SCHEDULE)[0][0] or 0
        for slot, n_sessions in served.items():
            must(last >= slot, f"slot {slot} was served, and the database has forgotten it (last: {last})")
            now = database.ask(SESSIONS_OF, slot)[0][0]
            must(now == n_sessions, f"slot {slot} had {n_sessions} sessions when it was served, and now {now}")


def state_is_that_of_the_hub(files, world, slot):
    """Checks a disk after a run that ended well."""
    with Database(files) as database:
        schedule = database.ask(SCHEDULE)[0]
        must(schedule == (slot, None), f"slot {slot} was due, and the schedule has {schedule}")
        must(database.ask(OPEN) == [(0,)], "a run or a session is still open")
    for model in MODELS:
        commit, expected = world.newest[model], world.commits[model][world.newest[model]]
        if model == FOLDER:
            for name, data in expected.items():
                must(files.get(f"folder/{name}") == data, f"`folder/{name}` is not that of {commit}")
        else:
            found = files.get(f"{cache_folder(model)}/refs/main")
            must(found == commit.encode(), f"the ref of {model} holds {found}, and the Hub has {commit}")
            snapshot_is_whole(files, f"{cache_folder(model)}/snapshots/{commit}", expected)


def facts(files, slot):
    with Database(files) as database:
        return database.ask(SESSIONS_OF, slot)[0][0], database.ask(CONTINUED)[0][0]


def named_steps(source):
    """Returns the names of all checkpoints in the sources of hfdl."""
    found = set()
    for folder, _, names in os.walk(source):
        for name in names:
            if name.endswith(".rs"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found.update(re.findall(r'checkpoint\(\s*"([^"]+)"', file.read()))
    return found
