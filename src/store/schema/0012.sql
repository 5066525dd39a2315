-- The token of `stored_tokens` that a model is read with; NULL: that of the machine.
ALTER TABLE models ADD COLUMN token_name TEXT;
