-- Version 9. A proof holds while the file is the one that was read.

-- What the file was when it was read: time of change in nanoseconds since
-- 1970, and inode. NULL in rows of older versions and where a platform does
-- not tell.
ALTER TABLE blobs ADD COLUMN modified_ns INTEGER;
ALTER TABLE blobs ADD COLUMN inode INTEGER;

-- The words for source and result are checked by the code. `found_bad`: what
-- was on this machine before did not have its hash.
CREATE TABLE session_files_new (
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
INSERT INTO session_files_new
    SELECT session_id, path, content_id, size, bytes_fetched, bytes_reused, source, retries, result, 0
    FROM session_files;
DROP TABLE session_files;
ALTER TABLE session_files_new RENAME TO session_files;
