-- Version 1. Times are whole seconds UTC, booleans 0 or 1, lists that no
-- query looks into are JSON. A released file is never edited: what changes
-- later is a new step.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY CHECK (key <> ''),
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    name                 TEXT NOT NULL UNIQUE CHECK (name <> ''),
    repo_type            TEXT NOT NULL CHECK (repo_type IN ('model', 'dataset', 'space')),
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
    upstream_state       TEXT NOT NULL DEFAULT 'ok' CHECK (upstream_state IN ('ok', 'orphaned', 'gated', 'renamed')),
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    UNIQUE (repo_type, repo_id, revision, destination)
) STRICT;

CREATE TABLE model_tags (
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    tag      TEXT NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (model_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_tags_by_tag ON model_tags (tag);

CREATE TABLE schedules (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE CHECK (name <> ''),
    cadence_kind    TEXT NOT NULL CHECK (cadence_kind IN ('interval', 'daily', 'weekly', 'monthly', 'cron', 'once')),
    cadence_spec    TEXT NOT NULL CHECK (cadence_spec <> ''),
    time_zone       TEXT NOT NULL CHECK (time_zone <> ''),
    windows         TEXT NOT NULL CHECK (json_type(windows) = 'array'),
    catch_up        TEXT NOT NULL CHECK (catch_up IN ('once', 'skip')),
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

CREATE TABLE runs (
    id                TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    command           TEXT NOT NULL CHECK (command IN ('run-due', 'download', 'verify', 'prune', 'adopt', 'models')),
    trigger           TEXT NOT NULL CHECK (trigger IN ('timer', 'ci', 'manual')),
    host              TEXT NOT NULL,
    pid               INTEGER NOT NULL CHECK (pid BETWEEN 0 AND 4294967295),
    boot_id           TEXT,
    process_start     TEXT,
    version           TEXT NOT NULL,
    started_at        INTEGER NOT NULL,
    heartbeat_at      INTEGER NOT NULL,
    stop_requested_at INTEGER,
    finished_at       INTEGER,
    outcome           TEXT CHECK (outcome IN ('ok', 'failed', 'partial', 'skipped-locked', 'skipped-paused', 'interrupted', 'crashed')),
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

-- Facts of the model and the schedule are copied: history outlives both.
CREATE TABLE sessions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id        TEXT NOT NULL REFERENCES runs (id),
    model_id      INTEGER REFERENCES models (id) ON DELETE SET NULL,
    model_name    TEXT,
    repo_type     TEXT NOT NULL CHECK (repo_type IN ('model', 'dataset', 'space')),
    repo_id       TEXT NOT NULL CHECK (repo_id <> ''),
    revision      TEXT NOT NULL CHECK (revision <> ''),
    destination   TEXT NOT NULL CHECK (destination <> ''),
    schedule_id   INTEGER REFERENCES schedules (id) ON DELETE SET NULL,
    schedule_name TEXT,
    slot_at       INTEGER,
    trigger       TEXT NOT NULL CHECK (trigger IN ('timer', 'ci', 'manual')),
    state         TEXT NOT NULL CHECK (state IN ('running', 'finished')),
    outcome       TEXT CHECK (outcome IN ('updated', 'up-to-date', 'repaired', 'partial', 'held', 'could-not-check', 'orphaned', 'skipped', 'failed')),
    error_kind    TEXT CHECK (error_kind IN ('integrity', 'auth', 'disk', 'network', 'rate-limit', 'not-found', 'hub', 'config', 'internal')),
    error         TEXT,
    hint          TEXT,
    old_commit    TEXT,
    new_commit    TEXT,
    path          TEXT,
    files_total   INTEGER NOT NULL DEFAULT 0 CHECK (files_total >= 0),
    files_fetched INTEGER NOT NULL DEFAULT 0 CHECK (files_fetched >= 0),
    files_reused  INTEGER NOT NULL DEFAULT 0 CHECK (files_reused >= 0),
    files_deleted INTEGER NOT NULL DEFAULT 0 CHECK (files_deleted >= 0),
    bytes_total   INTEGER NOT NULL DEFAULT 0 CHECK (bytes_total >= 0),
    bytes_fetched INTEGER NOT NULL DEFAULT 0 CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL DEFAULT 0 CHECK (bytes_reused >= 0),
    bytes_left    INTEGER NOT NULL DEFAULT 0 CHECK (bytes_left >= 0),
    retries       INTEGER NOT NULL DEFAULT 0 CHECK (retries BETWEEN 0 AND 4294967295),
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER,
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

CREATE TABLE session_files (
    session_id    INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    path          TEXT NOT NULL CHECK (path <> ''),
    content_id    TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    size          INTEGER NOT NULL CHECK (size >= 0),
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL CHECK (bytes_reused >= 0),
    source        TEXT CHECK (source IN ('http', 'xet', 'reused', 'linked')),
    retries       INTEGER NOT NULL CHECK (retries BETWEEN 0 AND 4294967295),
    result        TEXT NOT NULL CHECK (result IN ('verified', 'partial', 'failed', 'deleted')),
    PRIMARY KEY (session_id, path)
) STRICT, WITHOUT ROWID;

-- What was on disk and proven when it was last looked at. One path holds one
-- content; one content may lie at several paths.
CREATE TABLE blobs (
    path          TEXT NOT NULL PRIMARY KEY CHECK (path <> ''),
    content_id    TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    size          INTEGER NOT NULL CHECK (size >= 0),
    verified_at   INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_content ON blobs (content_id);
CREATE INDEX blobs_by_age ON blobs (verified_at);

CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('missed-tick', 'missed-slot', 'skipped', 'crashed', 'recovered', 'orphaned', 'gated', 'renamed', 'disk-low', 'clock-back', 'clock-reset', 'zone-data-changed')),
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    run_id   TEXT REFERENCES runs (id) ON DELETE SET NULL,
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_model ON events (model_id, at) WHERE model_id IS NOT NULL;
CREATE INDEX events_by_run ON events (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE rate_limits (
    endpoint  TEXT NOT NULL,
    bucket    TEXT NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining >= 0),
    resets_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint, bucket)
) STRICT, WITHOUT ROWID;
