-- One row for each commit that a model was offered as an update: held, published or
-- both. `findings`: JSON, the reasons to hold it.
CREATE TABLE updates (
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha TEXT NOT NULL CHECK (length(commit_sha) = 40),
    -- The commit that was published then.
    old_commit TEXT CHECK (length(old_commit) = 40),
    first_seen_at INTEGER NOT NULL,
    findings TEXT NOT NULL DEFAULT '[]',
    -- A person's decision about a held update; `waiting` before it.
    decision TEXT NOT NULL DEFAULT 'waiting',
    decided_at INTEGER,
    note TEXT,
    published_at INTEGER,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;

INSERT INTO updates (model_id, commit_sha, old_commit, first_seen_at, findings, decision)
SELECT id, update_commit, published_commit, coalesce(last_check_at, updated_at),
    json_array(json_object('reason', update_reason, 'detail', 'it looks like a loss')),
    CASE update_accepted WHEN 1 THEN 'approved' ELSE 'waiting' END
FROM models WHERE update_commit IS NOT NULL;
ALTER TABLE models DROP COLUMN update_reason;
ALTER TABLE models DROP COLUMN update_accepted;

-- The commit that a model stays at, and the word for the reason.
ALTER TABLE models ADD COLUMN pinned_commit TEXT CHECK (length(pinned_commit) = 40);
ALTER TABLE models ADD COLUMN pinned_by TEXT CHECK ((pinned_by IS NULL) = (pinned_commit IS NULL));
