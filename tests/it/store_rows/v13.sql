-- Rows as version 13 wrote them, besides those that version 12 had already.
UPDATE models SET views = '["dir=/srv/view"]', view_map = '["a=b/c"]', view_copy = 1;
INSERT INTO views (id, model_id, model_name, kind, root, commit_sha, made_at)
    VALUES (1, 1, 'acme/tiny', 'dir', '/srv/view', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1790000500);
INSERT INTO view_files (view_id, path, content_id, source, method, size, modified_ns)
    VALUES (1, 'config.json', 'git:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '/hub/blob', 'hardlink', 5, 1790000500000000000);
