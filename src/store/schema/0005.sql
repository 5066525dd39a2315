-- Version 5. Updates that wait for a person.

-- A commit upstream that looks like a loss: why it is held, and whether a
-- person has accepted it. NULL while there is none.
ALTER TABLE models ADD COLUMN update_commit TEXT CHECK (length(update_commit) = 40);
ALTER TABLE models ADD COLUMN update_reason TEXT CHECK ((update_reason IS NULL) = (update_commit IS NULL));
ALTER TABLE models ADD COLUMN update_accepted INTEGER NOT NULL DEFAULT 0 CHECK (update_accepted IN (0, 1));
