-- Whether `SHA256SUMS` is written into the directory and the views of a model.
ALTER TABLE models ADD COLUMN checksums INTEGER NOT NULL DEFAULT 0 CHECK (checksums IN (0, 1));

-- The SHA-256 of files that the Hub knows by their git blob id only.
CREATE TABLE file_hashes (
    git_sha1 TEXT NOT NULL PRIMARY KEY CHECK (length(git_sha1) = 40),
    sha256   TEXT NOT NULL CHECK (length(sha256) = 64)
) STRICT, WITHOUT ROWID;

-- The digest of the files that a lock file has for the pinned commit; NULL without one.
ALTER TABLE models ADD COLUMN locked_files TEXT CHECK (length(locked_files) = 64);
