-- Updates under a policy, the scrub of published files, allowances, and reports.

-- Updates.

-- One row for each commit that a model was offered as an update: held, published or
-- both.
CREATE TABLE updates (
    model_id      INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha    TEXT NOT NULL CHECK (length(commit_sha) = 40),
    -- The commit that was published then.
    old_commit    TEXT CHECK (length(old_commit) = 40),
    first_seen_at INTEGER NOT NULL,
    -- The reasons to hold it.
    findings      TEXT NOT NULL DEFAULT '[]',
    -- A person's decision about a held update; `waiting` before it.
    decision      TEXT NOT NULL DEFAULT 'waiting',
    decided_at    INTEGER,
    note          TEXT,
    published_at  INTEGER,
    -- The command of the gate that held the update; NULL: no gate held it.
    gate_command  TEXT,
    -- The time of the gate's next check; NULL: it checks no more.
    gate_again_at INTEGER CHECK (gate_again_at IS NULL OR gate_command IS NOT NULL),
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;

INSERT INTO updates (model_id, commit_sha, old_commit, first_seen_at, findings, decision)
SELECT id, update_commit, published_commit, coalesce(last_check_at, updated_at),
    json_array(json_object('reason', update_reason, 'detail', 'it looks like a loss')),
    CASE update_accepted WHEN 1 THEN 'approved' ELSE 'waiting' END
FROM models WHERE update_commit IS NOT NULL;

-- The commits upstream that are newer than the published one of a model with a delay.
CREATE TABLE seen_commits (
    model_id      INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha    TEXT NOT NULL CHECK (length(commit_sha) = 40),
    first_seen_at INTEGER NOT NULL,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;

-- The changes between the published commit and one that a model was offered.
CREATE TABLE change_notes (
    model_id      INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha    TEXT NOT NULL CHECK (length(commit_sha) = 40),
    old_commit    TEXT NOT NULL CHECK (length(old_commit) = 40),
    -- Short lists; NULL: unknown.
    commits       TEXT CHECK (json_type(commits) = 'object'),
    files         TEXT CHECK (json_type(files) = 'object'),
    -- Licence and gating before and after.
    terms         TEXT CHECK (json_type(terms) = 'array'),
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL CHECK (bytes_reused >= 0),
    noted_at      INTEGER NOT NULL,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_notes_by_time ON change_notes (noted_at);

-- Models. The reason and the decision of a held update are in `updates` now.
ALTER TABLE models DROP COLUMN update_reason;
ALTER TABLE models DROP COLUMN update_accepted;
-- The rules about updates; NULL: those of the tags, else the built-in ones. An empty
-- list of guards: all are off.
ALTER TABLE models ADD COLUMN policy TEXT;
ALTER TABLE models ADD COLUMN delay INTEGER CHECK (delay >= 0);
ALTER TABLE models ADD COLUMN follow_tags TEXT;
ALTER TABLE models ADD COLUMN guards TEXT;
-- The commit that a model stays at, and the word for the reason.
ALTER TABLE models ADD COLUMN pinned_commit TEXT CHECK (length(pinned_commit) = 40);
ALTER TABLE models ADD COLUMN pinned_by TEXT CHECK ((pinned_by IS NULL) = (pinned_commit IS NULL));
-- The digest of the files that a lock file has for the pinned commit; NULL without one.
ALTER TABLE models ADD COLUMN locked_files TEXT CHECK (length(locked_files) = 64);
-- The newest commit upstream that a delay keeps from being taken, and the time at which
-- the first of the waiting commits is old enough.
ALTER TABLE models ADD COLUMN waiting_commit TEXT CHECK (length(waiting_commit) = 40);
ALTER TABLE models ADD COLUMN waiting_until INTEGER;
-- The tag that a model follows, its target in the list of refs, and its commit. The
-- target of an annotated tag is no commit.
ALTER TABLE models ADD COLUMN followed_tag TEXT;
ALTER TABLE models ADD COLUMN followed_target TEXT;
ALTER TABLE models ADD COLUMN followed_commit TEXT;
-- Licence and gating of the repository when the commit was published; NULL: unknown.
ALTER TABLE models ADD COLUMN published_licence TEXT;
ALTER TABLE models ADD COLUMN published_gating TEXT;
-- 1: `SHA256SUMS` is written into the directory and the views of the model.
ALTER TABLE models ADD COLUMN checksums INTEGER NOT NULL DEFAULT 0 CHECK (checksums IN (0, 1));

-- The last answer of the Hub about a commit, and the time since which the Hub has it no
-- more.
ALTER TABLE model_revisions ADD COLUMN upstream_asked_at INTEGER;
ALTER TABLE model_revisions ADD COLUMN gone_upstream_at INTEGER;
CREATE INDEX model_revisions_gone ON model_revisions (gone_upstream_at)
    WHERE gone_upstream_at IS NOT NULL;

-- Tags.

-- The defaults that tags give to their models, and the allowances of these together.
CREATE TABLE tags (
    name          TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    policy        TEXT,
    delay         INTEGER CHECK (delay >= 0),
    follow_tags   TEXT,
    guards        TEXT,
    updated_at    INTEGER NOT NULL,
    limit_daily   INTEGER CHECK (limit_daily > 0),
    limit_monthly INTEGER CHECK (limit_monthly > 0)
) STRICT, WITHOUT ROWID;

-- Allowances: bytes per day or month.

ALTER TABLE schedules ADD COLUMN limit_daily INTEGER CHECK (limit_daily > 0);
ALTER TABLE schedules ADD COLUMN limit_monthly INTEGER CHECK (limit_monthly > 0);

-- The ledger of received bytes: one sum for each quarter of an hour, for the home,
-- a schedule (by its id) or a tag. A run records bytes before it receives them, and
-- takes the unused rest back: after a crash too many are counted, never too few.
CREATE TABLE transfers (
    scope   TEXT NOT NULL,
    name    TEXT NOT NULL,
    quarter INTEGER NOT NULL,
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (scope, name, quarter)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_by_quarter ON transfers (quarter);

-- Scrub: the reading of published files again.

-- The last scrub of each shard; 0 of 1 is all models.
CREATE TABLE scrubs (
    number          INTEGER NOT NULL CHECK (number >= 0),
    n_shards        INTEGER NOT NULL CHECK (n_shards > number),
    ended_at        INTEGER NOT NULL,
    -- No scrub begins before; NULL: the next tick continues.
    next_at         INTEGER,
    files           INTEGER NOT NULL CHECK (files >= 0),
    bytes           INTEGER NOT NULL CHECK (bytes >= 0),
    bytes_read      INTEGER NOT NULL CHECK (bytes_read >= 0),
    bytes_behind    INTEGER NOT NULL CHECK (bytes_behind >= 0),
    -- Models whose files could not be listed.
    models_unlisted INTEGER NOT NULL CHECK (models_unlisted >= 0),
    -- The date of the oldest proof; NULL while a file has none.
    oldest_at       INTEGER,
    PRIMARY KEY (n_shards, number)
) STRICT, WITHOUT ROWID;

-- Files that were read in part. A position counts while the file has the stamp.
CREATE TABLE scrub_positions (
    path        TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    content_id  TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    size        INTEGER NOT NULL CHECK (size >= 0),
    modified_ns INTEGER NOT NULL,
    inode       INTEGER,
    position    INTEGER NOT NULL CHECK (position > 0),
    -- The state of the hash after these bytes.
    state       BLOB NOT NULL,
    -- The time at which the first byte was read, which becomes the date of the proof.
    begun_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Bad bytes that a repair has replaced, kept to be looked at.
CREATE TABLE evidence (
    path    TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    kept_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The SHA-256 of files that the Hub knows by their git blob id only.
CREATE TABLE file_hashes (
    git_sha1 TEXT NOT NULL PRIMARY KEY CHECK (length(git_sha1) = 40),
    sha256   TEXT NOT NULL CHECK (length(sha256) = 64)
) STRICT, WITHOUT ROWID;

-- History.

-- Revisions and leftovers that runs removed to make room.
CREATE TABLE removals (
    run_id     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    repo_type  TEXT NOT NULL,
    repo_id    TEXT NOT NULL,
    -- The kind of the removed thing, and its id.
    what       TEXT NOT NULL,
    removed_id TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0)
) STRICT;
CREATE INDEX removals_of_runs ON removals (run_id);

-- The bytes of proven files at the end of a day's last run that measured them.
CREATE TABLE disk_samples (
    day             TEXT NOT NULL PRIMARY KEY CHECK (length(day) = 10),
    measured_at     INTEGER NOT NULL,
    cache_bytes     INTEGER NOT NULL CHECK (cache_bytes >= 0),
    directory_bytes INTEGER NOT NULL CHECK (directory_bytes >= 0),
    free_bytes      INTEGER CHECK (free_bytes >= 0)
) STRICT, WITHOUT ROWID;
