-- Rows as version 15 wrote them, besides those that version 14 had already.
UPDATE models SET policy = 'pin@eeeeeee', delay = 604800, follow_tags = 'v*', guards = '[]',
    waiting_commit = 'dddddddddddddddddddddddddddddddddddddddd', waiting_until = 1790700000,
    followed_tag = 'v1', followed_target = 'cccccccccccccccccccccccccccccccccccccccc',
    followed_commit = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee';
INSERT INTO tags (name, policy, delay, follow_tags, guards, updated_at)
VALUES ('llm', 'approve', 86400, 'v*', '["no-files"]', 1790000600);
INSERT INTO seen_commits (model_id, commit_sha, first_seen_at)
SELECT id, 'dddddddddddddddddddddddddddddddddddddddd', 1790000600 FROM models;
