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

-- Views: the files of models where other programs look for them.
ALTER TABLE models ADD COLUMN views TEXT;
ALTER TABLE models ADD COLUMN view_map TEXT;
ALTER TABLE models ADD COLUMN view_copy INTEGER NOT NULL DEFAULT 0 CHECK (view_copy IN (0, 1));

-- One row for each view that was made or tried. It outlives its model until the
-- files are removed.
CREATE TABLE views (
    id INTEGER PRIMARY KEY,
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    model_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    root TEXT NOT NULL,
    -- The revision that it shows; NULL until it was made once.
    commit_sha TEXT CHECK (length(commit_sha) = 40),
    made_at INTEGER,
    -- The reason why the last attempt failed.
    failure TEXT,
    is_conflict INTEGER NOT NULL DEFAULT 0 CHECK (is_conflict IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX views_of_models ON views (model_id, kind, root);

-- The files of views. While a view changes, a path has the old and the new file.
CREATE TABLE view_files (
    view_id INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    content_id TEXT NOT NULL CHECK (content_id GLOB 'sha256:*' OR content_id GLOB 'git:*'),
    -- The file that it shows; NULL for content that the view has written.
    source TEXT,
    method TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    modified_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX view_files_of_views ON view_files (view_id);
