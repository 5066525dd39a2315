-- Rows as version 16 wrote them, besides those that version 15 had already.
UPDATE model_revisions SET upstream_asked_at = 1790000800, gone_upstream_at = 1790000800;
INSERT INTO removals (run_id, repo_type, repo_id, what, removed_id, size)
    SELECT id, 'model', 'acme/tiny', 'revision', 'dddddddddddddddddddddddddddddddddddddddd', 5
    FROM runs LIMIT 1;
