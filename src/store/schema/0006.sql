-- Version 6. Which disk a place is on.

-- Caches and directories that registered models were published in, with what
-- tells each from the empty mount point of its disk.
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

-- The last session of a model names its snapshot: `CACHE/models--org--name/snapshots/COMMIT`.
INSERT INTO model_caches (model_id, path)
SELECT id, substr(snapshot, 1, length(snapshot) - tail)
FROM (
    SELECT models.id,
        length('/' || repo_type || 's--' || replace(repo_id, '/', '--') || '/snapshots/') + 40 AS tail,
        repo_type || 's--' || replace(repo_id, '/', '--') AS folder,
        (SELECT path FROM sessions
            WHERE model_id = models.id AND sessions.destination = 'cache' AND path IS NOT NULL
            ORDER BY started_at DESC, sessions.id DESC LIMIT 1) AS snapshot
    FROM models
    WHERE destination = 'cache' AND published_commit IS NOT NULL
)
WHERE length(snapshot) > tail
    AND substr(snapshot, length(snapshot) - tail + 2, length(folder)) = folder;
