-- Today's schema: the sum of all steps. A new database takes this one step.
--
-- Times are whole seconds UTC, booleans 0 or 1, lists that no query looks into are JSON. Word lists are
-- checked by the code, so that a new word needs no step; `sessions.state` has a check because others
-- build on its two words.

-- The database itself.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY CHECK (key <> ''),
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Models and schedules.

-- NULL as a rule about updates: that of the tags, else the built-in one; an empty list of guards: all
-- are off. `needs_token`: without its token the repository looks as if it were gone.
-- `pinned_commit` stays published, for the reason `pinned_by`; `locked_files` is the digest of its
-- files in the lock file. `waiting_commit` is the newest one that a delay keeps from being taken, and
-- `waiting_until` the time at which the first of them is old enough. The target of a followed tag that
-- is annotated is no commit. `moved_ref` is the target of a ref that a run left elsewhere than at the
-- published commit.
CREATE TABLE models (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    name                 TEXT NOT NULL UNIQUE CHECK (name <> ''),
    repo_type            TEXT NOT NULL,
    repo_id              TEXT NOT NULL CHECK (repo_id <> ''),
    revision             TEXT NOT NULL CHECK (revision <> ''),
    include              TEXT CHECK (json_type(include) = 'array'),
    exclude              TEXT NOT NULL CHECK (json_type(exclude) = 'array'),
    destination          TEXT NOT NULL CHECK (destination <> ''),
    priority             INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 100),
    enabled              INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    keep_revisions       INTEGER CHECK (keep_revisions BETWEEN 0 AND 4294967295),
    held_commit          TEXT,
    published_commit     TEXT,
    published_at         INTEGER,
    last_check_at        INTEGER,
    last_success_at      INTEGER,
    last_change_at       INTEGER,
    consecutive_failures INTEGER NOT NULL DEFAULT 0 CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    upstream_state       TEXT NOT NULL DEFAULT 'ok',
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    update_commit        TEXT CHECK (length(update_commit) = 40),
    needs_token          INTEGER NOT NULL DEFAULT 0 CHECK (needs_token IN (0, 1)),
    last_verify_at       INTEGER,
    last_verify_outcome  TEXT,
    token_name           TEXT,
    moved_ref            TEXT,
    views                TEXT,
    view_map             TEXT,
    view_copy            INTEGER NOT NULL DEFAULT 0 CHECK (view_copy IN (0, 1)),
    policy               TEXT,
    delay                INTEGER CHECK (delay >= 0),
    follow_tags          TEXT,
    guards               TEXT,
    pinned_commit        TEXT CHECK (length(pinned_commit) = 40),
    pinned_by            TEXT CHECK ((pinned_by IS NULL) = (pinned_commit IS NULL)),
    locked_files         TEXT CHECK (length(locked_files) = 64),
    waiting_commit       TEXT CHECK (length(waiting_commit) = 40),
    waiting_until        INTEGER,
    followed_tag         TEXT,
    followed_target      TEXT,
    followed_commit      TEXT,
    published_licence    TEXT,
    published_gating     TEXT,
    checksums            INTEGER NOT NULL DEFAULT 0 CHECK (checksums IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX models_by_copy
    ON models (repo_type, repo_id, revision, destination, coalesce(include, ''), exclude);
CREATE UNIQUE INDEX models_by_directory
    ON models (repo_type, repo_id, revision, destination) WHERE destination <> 'cache';

CREATE TABLE model_tags (
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    tag      TEXT NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (model_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_tags_by_tag ON model_tags (tag);

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

CREATE TABLE schedules (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE CHECK (name <> ''),
    cadence_kind    TEXT NOT NULL,
    cadence_spec    TEXT NOT NULL CHECK (cadence_spec <> ''),
    time_zone       TEXT NOT NULL CHECK (time_zone <> ''),
    windows         TEXT NOT NULL CHECK (json_type(windows) = 'array'),
    catch_up        TEXT NOT NULL,
    catch_up_within INTEGER CHECK (catch_up_within >= 0),
    jitter          INTEGER NOT NULL CHECK (jitter >= 0),
    limit_rate      TEXT,
    max_duration    INTEGER CHECK (max_duration >= 0),
    max_transfer    INTEGER CHECK (max_transfer >= 0),
    priority        INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 100),
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    selects_all     INTEGER NOT NULL CHECK (selects_all IN (0, 1)),
    anchor_at       INTEGER NOT NULL,
    not_before_at   INTEGER NOT NULL,
    next_due_at     INTEGER,
    last_slot_at    INTEGER,
    open_slot_at    INTEGER,
    retry_at        INTEGER,
    retry_count     INTEGER NOT NULL DEFAULT 0 CHECK (retry_count BETWEEN 0 AND 4294967295),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    limit_daily     INTEGER CHECK (limit_daily > 0),
    limit_monthly   INTEGER CHECK (limit_monthly > 0),
    CHECK (catch_up = 'once' OR catch_up_within IS NULL)
) STRICT;
CREATE INDEX schedules_due ON schedules (next_due_at) WHERE enabled = 1;

CREATE TABLE schedule_models (
    schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    model_id    INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    PRIMARY KEY (schedule_id, model_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_models_by_model ON schedule_models (model_id);

CREATE TABLE schedule_tags (
    schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    tag         TEXT NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (schedule_id, tag)
) STRICT, WITHOUT ROWID;

-- The shards for which this home was asked to run; 0 of 1 is all models.
CREATE TABLE shards (
    number       INTEGER NOT NULL CHECK (number >= 0),
    n_shards     INTEGER NOT NULL CHECK (n_shards > number),
    last_tick_at INTEGER NOT NULL,
    PRIMARY KEY (n_shards, number)
) STRICT, WITHOUT ROWID;

-- The slots of a schedule for the models of a shard. Those for all models are in `schedules`.
CREATE TABLE schedule_shards (
    schedule_id  INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL CHECK (number >= 0),
    n_shards     INTEGER NOT NULL CHECK (n_shards > number),
    last_slot_at INTEGER,
    open_slot_at INTEGER,
    retry_at     INTEGER,
    retry_count  INTEGER NOT NULL CHECK (retry_count BETWEEN 0 AND 4294967295),
    PRIMARY KEY (schedule_id, n_shards, number)
) STRICT, WITHOUT ROWID;

-- Updates.

-- One row for each commit that a model was offered as an update: held, published or both.
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

-- The same of repositories that are not registered, by session.
CREATE TABLE session_notes (
    session_id    INTEGER NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    commit_sha    TEXT NOT NULL CHECK (length(commit_sha) = 40),
    old_commit    TEXT NOT NULL CHECK (length(old_commit) = 40),
    -- Short lists; NULL: unknown.
    commits       TEXT CHECK (json_type(commits) = 'object'),
    files         TEXT CHECK (json_type(files) = 'object'),
    -- Licence and gating before and after.
    terms         TEXT CHECK (json_type(terms) = 'array'),
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL CHECK (bytes_reused >= 0),
    noted_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX session_notes_by_commit ON session_notes (commit_sha);

-- The commits that a model has had, so that a rollback finds them and the oldest can go.
CREATE TABLE model_revisions (
    model_id          INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha        TEXT NOT NULL CHECK (length(commit_sha) = 40),
    published_at      INTEGER NOT NULL,
    upstream_asked_at INTEGER,
    gone_upstream_at  INTEGER,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_revisions_gone ON model_revisions (gone_upstream_at)
    WHERE gone_upstream_at IS NOT NULL;

-- Runs and their history.

CREATE TABLE runs (
    id                TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    command           TEXT NOT NULL,
    trigger           TEXT NOT NULL,
    host              TEXT NOT NULL,
    pid               INTEGER NOT NULL CHECK (pid BETWEEN 0 AND 4294967295),
    boot_id           TEXT,
    process_start     TEXT,
    version           TEXT NOT NULL,
    started_at        INTEGER NOT NULL,
    heartbeat_at      INTEGER NOT NULL,
    stop_requested_at INTEGER,
    finished_at       INTEGER,
    outcome           TEXT,
    exit_code         INTEGER CHECK (exit_code BETWEEN 0 AND 255),
    n_due             INTEGER NOT NULL DEFAULT 0 CHECK (n_due >= 0),
    n_sessions        INTEGER NOT NULL DEFAULT 0 CHECK (n_sessions >= 0),
    n_failed          INTEGER NOT NULL DEFAULT 0 CHECK (n_failed >= 0),
    files_fetched     INTEGER NOT NULL DEFAULT 0 CHECK (files_fetched >= 0),
    bytes_fetched     INTEGER NOT NULL DEFAULT 0 CHECK (bytes_fetched >= 0),
    bytes_reused      INTEGER NOT NULL DEFAULT 0 CHECK (bytes_reused >= 0),
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_start ON runs (started_at);
CREATE INDEX runs_by_trigger ON runs (trigger, started_at);
CREATE INDEX runs_unfinished ON runs (started_at) WHERE finished_at IS NULL;
CREATE TRIGGER run_is_counted AFTER UPDATE OF outcome ON runs
    WHEN new.outcome IS NOT NULL AND old.outcome IS NULL
BEGIN
    INSERT INTO run_totals (outcome, n_runs) VALUES (new.outcome, 1)
        ON CONFLICT (outcome) DO UPDATE SET n_runs = n_runs + 1;
END;

-- Facts of the model and the schedule are copied, because history outlives both.
-- `reused_from` is NULL before the session has come that far, `verify_outcome` unless it verified.
CREATE TABLE sessions (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id         TEXT NOT NULL REFERENCES runs (id),
    model_id       INTEGER REFERENCES models (id) ON DELETE SET NULL,
    model_name     TEXT,
    repo_type      TEXT NOT NULL,
    repo_id        TEXT NOT NULL CHECK (repo_id <> ''),
    revision       TEXT NOT NULL CHECK (revision <> ''),
    destination    TEXT NOT NULL CHECK (destination <> ''),
    schedule_id    INTEGER REFERENCES schedules (id) ON DELETE SET NULL,
    schedule_name  TEXT,
    slot_at        INTEGER,
    trigger        TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('running', 'finished')),
    outcome        TEXT,
    error_kind     TEXT,
    error          TEXT,
    hint           TEXT,
    old_commit     TEXT,
    new_commit     TEXT,
    path           TEXT,
    files_total    INTEGER NOT NULL DEFAULT 0 CHECK (files_total >= 0),
    files_fetched  INTEGER NOT NULL DEFAULT 0 CHECK (files_fetched >= 0),
    files_reused   INTEGER NOT NULL DEFAULT 0 CHECK (files_reused >= 0),
    files_deleted  INTEGER NOT NULL DEFAULT 0 CHECK (files_deleted >= 0),
    bytes_total    INTEGER NOT NULL DEFAULT 0 CHECK (bytes_total >= 0),
    bytes_fetched  INTEGER NOT NULL DEFAULT 0 CHECK (bytes_fetched >= 0),
    bytes_reused   INTEGER NOT NULL DEFAULT 0 CHECK (bytes_reused >= 0),
    bytes_left     INTEGER NOT NULL DEFAULT 0 CHECK (bytes_left >= 0),
    retries        INTEGER NOT NULL DEFAULT 0 CHECK (retries BETWEEN 0 AND 4294967295),
    started_at     INTEGER NOT NULL,
    finished_at    INTEGER,
    reused_from    TEXT CHECK (json_type(reused_from) = 'array'),
    verify_outcome TEXT,
    CHECK ((state = 'finished') = (outcome IS NOT NULL)),
    CHECK ((state = 'finished') = (finished_at IS NOT NULL)),
    CHECK ((error_kind IS NULL) = (error IS NULL))
) STRICT;
CREATE INDEX sessions_by_model ON sessions (model_id, started_at);
CREATE INDEX sessions_by_run ON sessions (run_id, started_at);
CREATE INDEX sessions_by_outcome ON sessions (outcome, started_at);
CREATE INDEX sessions_by_start ON sessions (started_at);
CREATE INDEX sessions_by_schedule ON sessions (schedule_id) WHERE schedule_id IS NOT NULL;
CREATE INDEX sessions_of_removed_models ON sessions (model_name, started_at) WHERE model_id IS NULL;
CREATE INDEX sessions_running ON sessions (run_id) WHERE state = 'running';
CREATE TRIGGER session_is_counted AFTER UPDATE OF state ON sessions
    WHEN new.state = 'finished' AND old.state = 'running' AND new.model_id IS NOT NULL
BEGIN
    INSERT INTO model_totals (model_id, bytes_fetched) VALUES (new.model_id, new.bytes_fetched)
        ON CONFLICT (model_id) DO UPDATE SET bytes_fetched = bytes_fetched + excluded.bytes_fetched;
END;
CREATE INDEX sessions_of_model ON sessions (model_id) WHERE model_id IS NOT NULL;

-- Of a file with `found_bad`, the bytes on this machine did not have its hash.
CREATE TABLE session_files (
    session_id    INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    path          TEXT NOT NULL CHECK (path <> ''),
    content_id    TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    size          INTEGER NOT NULL CHECK (size >= 0),
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL CHECK (bytes_reused >= 0),
    source        TEXT,
    retries       INTEGER NOT NULL CHECK (retries BETWEEN 0 AND 4294967295),
    result        TEXT NOT NULL,
    found_bad     INTEGER NOT NULL DEFAULT 0 CHECK (found_bad IN (0, 1)),
    PRIMARY KEY (session_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    run_id   TEXT REFERENCES runs (id) ON DELETE SET NULL,
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_model ON events (model_id, at) WHERE model_id IS NOT NULL;
CREATE INDEX events_by_run ON events (run_id) WHERE run_id IS NOT NULL;

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

-- History is deleted after a while; these counts only grow. Triggers count, so that a crashed session,
-- which another process closes, is not missed.
CREATE TABLE model_totals (
    model_id      INTEGER NOT NULL PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE,
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0)
) STRICT;

CREATE TABLE run_totals (
    outcome TEXT NOT NULL PRIMARY KEY,
    n_runs  INTEGER NOT NULL CHECK (n_runs >= 0)
) STRICT, WITHOUT ROWID;

-- The trouble of a model that is not over, and the newer commit that a hold keeps back, once told.
CREATE TABLE alerts (
    model_id    INTEGER NOT NULL PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE,
    error_kind  TEXT,
    since       INTEGER,
    told_at     INTEGER,
    n_failures  INTEGER NOT NULL DEFAULT 0 CHECK (n_failures BETWEEN 0 AND 4294967295),
    held_commit TEXT CHECK (length(held_commit) = 40),
    CHECK ((error_kind IS NULL) = (since IS NULL))
) STRICT;

-- The ledger of received bytes: one sum for each quarter of an hour, for the home, a schedule (by its
-- id) or a tag. A run records bytes before it receives them, and takes the unused rest back: after a
-- crash too many are counted, never too few.
CREATE TABLE transfers (
    scope   TEXT NOT NULL,
    name    TEXT NOT NULL,
    quarter INTEGER NOT NULL,
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (scope, name, quarter)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_by_quarter ON transfers (quarter);

-- Files on disk.

-- Proven files, with the time of change and the inode that each had when it was read; these are NULL
-- where a platform does not tell them. One content may lie at several paths.
CREATE TABLE blobs (
    path          TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    content_id    TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    size          INTEGER NOT NULL CHECK (size >= 0),
    verified_at   INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    modified_ns   INTEGER,
    inode         INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_content ON blobs (content_id);
CREATE INDEX blobs_by_age ON blobs (verified_at);

-- Files that were read whole and had a wrong hash, until they are replaced.
CREATE TABLE bad_files (
    path       TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    content_id TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    found_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Files of other programs that were hashed once. Downloads find them by content and link or copy them
-- instead of fetching. With `moves`, the file itself goes into the cache when a download wants it.
CREATE TABLE adopted (
    path        TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    size        INTEGER NOT NULL CHECK (size >= 0),
    modified_ns INTEGER NOT NULL,
    inode       INTEGER,
    sha256      TEXT NOT NULL,
    git_sha1    TEXT NOT NULL,
    moves       INTEGER NOT NULL CHECK (moves IN (0, 1)),
    adopted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The SHA-256 of files that the Hub knows by their git blob id only.
CREATE TABLE file_hashes (
    git_sha1 TEXT NOT NULL PRIMARY KEY CHECK (length(git_sha1) = 40),
    sha256   TEXT NOT NULL CHECK (length(sha256) = 64)
) STRICT, WITHOUT ROWID;

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

-- Files that a scrub has read in part. A position counts while the file is the same.
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

-- Caches and directories that registered models were published in, with the mark that tells each from
-- the empty mount point of its disk.
CREATE TABLE places (
    path        TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    mark        TEXT CHECK (mark <> ''),
    file_system TEXT CHECK (file_system <> ''),
    seen_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The cache that each model was published in last.
CREATE TABLE model_caches (
    model_id INTEGER NOT NULL PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE,
    path     TEXT NOT NULL CHECK (path <> '')
) STRICT;

-- The files of models where other programs look for them: one row for each view that was made or
-- tried. It outlives its model until the files are removed.
CREATE TABLE views (
    id          INTEGER PRIMARY KEY,
    model_id    INTEGER REFERENCES models (id) ON DELETE SET NULL,
    model_name  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    root        TEXT NOT NULL,
    -- The revision that it shows; NULL until it was made once.
    commit_sha  TEXT CHECK (length(commit_sha) = 40),
    made_at     INTEGER,
    -- The reason why the last attempt failed.
    failure     TEXT,
    is_conflict INTEGER NOT NULL DEFAULT 0 CHECK (is_conflict IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX views_of_models ON views (model_id, kind, root);

-- While a view changes, a path has the old and the new file.
CREATE TABLE view_files (
    view_id     INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    path        TEXT NOT NULL,
    content_id  TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    -- The file that it shows; NULL for content that the view has written.
    source      TEXT,
    method      TEXT NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    modified_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX view_files_of_views ON view_files (view_id);

-- The Hub.

CREATE TABLE rate_limits (
    endpoint  TEXT NOT NULL,
    bucket    TEXT NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining >= 0),
    resets_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint, bucket)
) STRICT, WITHOUT ROWID;

-- Routes to a file's bytes that led nowhere, for a while.
CREATE TABLE dead_ends (
    host       TEXT NOT NULL CHECK (host <> ''),
    way        TEXT NOT NULL,
    from_size  INTEGER NOT NULL CHECK (from_size >= 0),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (host, way)
) STRICT, WITHOUT ROWID;
