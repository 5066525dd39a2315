-- The last answer of the Hub about a commit, and since when it has it no more.
ALTER TABLE model_revisions ADD COLUMN upstream_asked_at INTEGER;
ALTER TABLE model_revisions ADD COLUMN gone_upstream_at INTEGER;
