-- Version 26. Notes on the changes of updates, and the disk use of each day.

-- The changes between the published commit and one that a model was offered. `commits`
-- and `files` are short lists that no query reads into; NULL: unknown.
CREATE TABLE change_notes (
    model_id      INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha    TEXT NOT NULL CHECK (length(commit_sha) = 40),
    old_commit    TEXT NOT NULL CHECK (length(old_commit) = 40),
    commits       TEXT CHECK (json_type(commits) = 'object'),
    files         TEXT CHECK (json_type(files) = 'object'),
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0),
    bytes_reused  INTEGER NOT NULL CHECK (bytes_reused >= 0),
    noted_at      INTEGER NOT NULL,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_notes_by_time ON change_notes (noted_at);

-- The bytes of proven files at the end of a day's last run that measured them.
CREATE TABLE disk_samples (
    day             TEXT NOT NULL PRIMARY KEY CHECK (length(day) = 10),
    measured_at     INTEGER NOT NULL,
    cache_bytes     INTEGER NOT NULL CHECK (cache_bytes >= 0),
    directory_bytes INTEGER NOT NULL CHECK (directory_bytes >= 0),
    free_bytes      INTEGER CHECK (free_bytes >= 0)
) STRICT, WITHOUT ROWID;
