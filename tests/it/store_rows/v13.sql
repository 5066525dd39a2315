-- Rows as version 13 wrote them, besides those that earlier versions had already.
UPDATE models SET token_name = 'work';
UPDATE models SET moved_ref = 'nothing' WHERE id = 1;
INSERT INTO adopted (path, size, modified_ns, inode, sha256, git_sha1, moves, adopted_at)
    VALUES ('/old/model.gguf', 5000, 1790000000000000001, 7,
        'sha256:0101010101010101010101010101010101010101010101010101010101010101',
        'git:0202020202020202020202020202020202020202', 1, 1790000600),
    ('/of/a/later/version', 5000, 1, NULL, 'blake3:00', 'git:00', 0, 1790000600);
UPDATE models SET views = '["dir=/srv/view"]', view_map = '["a=b/c"]', view_copy = 1;
INSERT INTO views (id, model_id, model_name, kind, root, commit_sha, made_at)
    VALUES (1, 1, 'acme/tiny', 'dir', '/srv/view', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1790000500);
INSERT INTO view_files (view_id, path, content_id, source, method, size, modified_ns)
    VALUES (1, 'config.json', 'git:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '/hub/blob', 'hardlink', 5, 1790000500000000000);
