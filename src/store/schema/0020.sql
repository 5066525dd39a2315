-- The reading of published files again: scrub.

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
    -- The oldest proof; NULL while a file has none.
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
