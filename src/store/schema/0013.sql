-- Version 13. The target of a ref that a run left elsewhere than at the published
-- commit: a commit, or `nothing`.

ALTER TABLE models ADD COLUMN moved_ref TEXT;
