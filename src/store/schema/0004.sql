-- Version 4. Where bytes came from, and where none come from.

-- What a session reused and did not find in place: a short list, which no
-- query looks into. NULL before the session has come that far, and for those
-- of older versions.
ALTER TABLE sessions ADD COLUMN reused_from TEXT CHECK (json_type(reused_from) = 'array');

-- Ways to a file's bytes that led nowhere with a Hub, for a while: from one run
-- to the next, so that not every run finds out anew.
CREATE TABLE dead_ends (
    host       TEXT NOT NULL CHECK (host <> ''),
    way        TEXT NOT NULL CHECK (way IN ('xet-answers', 'xet-chunks', 'plain-files')),
    from_size  INTEGER NOT NULL CHECK (from_size >= 0),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (host, way)
) STRICT, WITHOUT ROWID;
