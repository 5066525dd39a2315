-- The token of `stored_tokens` that a model is read with; NULL: that of the machine.
ALTER TABLE models ADD COLUMN token_name TEXT;

-- The target of a ref that a run left elsewhere than at the published
-- commit: a commit, or `nothing`.
ALTER TABLE models ADD COLUMN moved_ref TEXT;
