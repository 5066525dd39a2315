-- Rows as version 14 wrote them, besides those that version 13 had already.
UPDATE models SET pinned_commit = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', pinned_by = 'policy';
UPDATE updates SET old_commit = 'dddddddddddddddddddddddddddddddddddddddd', decided_at = 1790000600,
    note = 'seen', published_at = 1790000700;
UPDATE models SET policy = 'pin@eeeeeee', delay = 604800, follow_tags = 'v*', guards = '[]',
    waiting_commit = 'dddddddddddddddddddddddddddddddddddddddd', waiting_until = 1790700000,
    followed_tag = 'v1', followed_target = 'cccccccccccccccccccccccccccccccccccccccc',
    followed_commit = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee';
INSERT INTO tags (name, policy, delay, follow_tags, guards, updated_at)
VALUES ('llm', 'approve', 86400, 'v*', '["no-files"]', 1790000600);
INSERT INTO seen_commits (model_id, commit_sha, first_seen_at)
SELECT id, 'dddddddddddddddddddddddddddddddddddddddd', 1790000600 FROM models;
UPDATE models SET checksums = 1, locked_files = '0303030303030303030303030303030303030303030303030303030303030303';
INSERT INTO file_hashes (git_sha1, sha256) VALUES ('0202020202020202020202020202020202020202',
    '0101010101010101010101010101010101010101010101010101010101010101');
UPDATE models SET published_licence = 'mit', published_gating = 'no' WHERE id = 1;
INSERT INTO change_notes (model_id, commit_sha, old_commit, commits, files, bytes_fetched, bytes_reused, noted_at, terms)
SELECT id, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'dddddddddddddddddddddddddddddddddddddddd',
    '{"list":[{"id":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","title":"Better","at":"2026-03-01T08:00:00Z"}],"more":false,"rewritten":false}',
    '{"list":[{"path":"config.json","change":"changed","size":2}],"more":0,"added":[0,0],"changed":[1,2],"removed":[0,0],"with_code":0}',
    2, 4096, 1790000700, '["mit","no","mit","auto"]' FROM models LIMIT 1;
INSERT INTO disk_samples VALUES ('2026-09-21', 1790000700, 4098, 0, 1000000);
INSERT INTO scrubs (number, n_shards, ended_at, files, bytes, bytes_read, bytes_behind, models_unlisted)
VALUES (0, 1, 1790000700, 1, 2, 2, 0, 0);
INSERT INTO scrub_positions (path, content_id, size, modified_ns, position, state, begun_at)
VALUES ('/hub/half', 'git:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 9, 1790000500000000000, 4, x'00', 1790000700);
INSERT INTO evidence (path, kept_at) VALUES ('/hub/bad', 1790000700);
UPDATE updates SET gate_command = 'scan', gate_again_at = 1790000800;
UPDATE model_revisions SET upstream_asked_at = 1790000800, gone_upstream_at = 1790000800;
INSERT INTO removals (run_id, repo_type, repo_id, what, removed_id, size)
    SELECT id, 'model', 'acme/tiny', 'revision', 'dddddddddddddddddddddddddddddddddddddddd', 5
    FROM runs LIMIT 1;
