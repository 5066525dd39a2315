-- Version 2. What runs that nobody watches need to remember.

-- Which commits a model has had, so that one can be gone back to and the
-- oldest can be let go.
CREATE TABLE model_revisions (
    model_id     INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha   TEXT NOT NULL CHECK (length(commit_sha) = 40),
    published_at INTEGER NOT NULL,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;
INSERT INTO model_revisions (model_id, commit_sha, published_at)
    SELECT id, published_commit, coalesce(published_at, updated_at) FROM models
    WHERE published_commit IS NOT NULL;

-- Files that were read whole and had a wrong hash, until they are replaced:
-- their size is right, so a look at the folder cannot tell.
CREATE TABLE bad_files (
    path       TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    content_id TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    found_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- More kinds of events.
CREATE TABLE events_new (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('missed-tick', 'missed-slot', 'skipped', 'crashed', 'failing', 'recovered', 'orphaned', 'gated', 'renamed', 'held', 'rolled-back', 'released', 'pruned', 'corrupt', 'delta-abandoned', 'hook-failed', 'disk-low', 'clock-back', 'clock-reset', 'zone-data-changed')),
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    run_id   TEXT REFERENCES runs (id) ON DELETE SET NULL,
    detail   TEXT NOT NULL
) STRICT;
INSERT INTO events_new SELECT id, at, kind, model_id, run_id, detail FROM events;
DROP TABLE events;
ALTER TABLE events_new RENAME TO events;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_model ON events (model_id, at) WHERE model_id IS NOT NULL;
CREATE INDEX events_by_run ON events (run_id) WHERE run_id IS NOT NULL;
