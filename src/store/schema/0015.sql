-- The change notes of repositories that are not registered, by session.
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
