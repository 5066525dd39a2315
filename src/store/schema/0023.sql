-- The rules about updates of a model; NULL: those of its tags, else the built-in ones.
-- `guards`: a JSON list, which is empty when all are off.
ALTER TABLE models ADD COLUMN policy TEXT;
ALTER TABLE models ADD COLUMN delay INTEGER CHECK (delay >= 0);
ALTER TABLE models ADD COLUMN follow_tags TEXT;
ALTER TABLE models ADD COLUMN guards TEXT;

-- The defaults that tags give to their models.
CREATE TABLE tags (
    name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    policy TEXT,
    delay INTEGER CHECK (delay >= 0),
    follow_tags TEXT,
    guards TEXT,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest commit upstream that a delay keeps from being taken, and the time at which
-- the first of the waiting commits is old enough.
ALTER TABLE models ADD COLUMN waiting_commit TEXT CHECK (length(waiting_commit) = 40);
ALTER TABLE models ADD COLUMN waiting_until INTEGER;

-- The tag that a model follows, its target in the list of refs, and its commit. The
-- target of an annotated tag is no commit.
ALTER TABLE models ADD COLUMN followed_tag TEXT;
ALTER TABLE models ADD COLUMN followed_target TEXT;
ALTER TABLE models ADD COLUMN followed_commit TEXT;

-- The commits upstream that are newer than the published one of a model with a delay.
CREATE TABLE seen_commits (
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    commit_sha TEXT NOT NULL CHECK (length(commit_sha) = 40),
    first_seen_at INTEGER NOT NULL,
    PRIMARY KEY (model_id, commit_sha)
) STRICT, WITHOUT ROWID;
