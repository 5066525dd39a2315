-- Version 8. Which repositories are shown to a token only.

-- Without its token such a repository looks as if it were gone.
ALTER TABLE models ADD COLUMN needs_token INTEGER NOT NULL DEFAULT 0
    CHECK (needs_token IN (0, 1));
