-- The last answer of the Hub about a commit, and since when it has it no more.
ALTER TABLE model_revisions ADD COLUMN upstream_asked_at INTEGER;
ALTER TABLE model_revisions ADD COLUMN gone_upstream_at INTEGER;
CREATE INDEX model_revisions_gone ON model_revisions (gone_upstream_at)
    WHERE gone_upstream_at IS NOT NULL;

-- Revisions and leftovers that runs removed to make room.
CREATE TABLE removals (
    run_id     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    repo_type  TEXT NOT NULL,
    repo_id    TEXT NOT NULL,
    what       TEXT NOT NULL,
    removed_id TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0)
) STRICT;
CREATE INDEX removals_of_runs ON removals (run_id);
