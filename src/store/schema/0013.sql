-- The token of `stored_tokens` that a model is read with; NULL: that of the machine.
ALTER TABLE models ADD COLUMN token_name TEXT;

-- The target of a ref that a run left elsewhere than at the published
-- commit: a commit, or `nothing`.
ALTER TABLE models ADD COLUMN moved_ref TEXT;

-- Files of other programs that were hashed once. Downloads find them by content
-- and link or copy them instead of fetching. `moves`: the file itself goes into
-- the cache when a download wants it.
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
