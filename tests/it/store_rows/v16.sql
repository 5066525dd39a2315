-- Rows as version 16 wrote them, besides those that version 15 had already.
UPDATE models SET checksums = 1, locked_files = '0303030303030303030303030303030303030303030303030303030303030303';
INSERT INTO file_hashes (git_sha1, sha256) VALUES ('0202020202020202020202020202020202020202',
    '0101010101010101010101010101010101010101010101010101010101010101');
INSERT INTO change_notes (model_id, commit_sha, old_commit, commits, files, bytes_fetched, bytes_reused, noted_at)
SELECT id, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'dddddddddddddddddddddddddddddddddddddddd',
    '{"list":[{"id":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","title":"Better","at":"2026-03-01T08:00:00Z"}],"more":false,"rewritten":false}',
    '{"list":[{"path":"config.json","change":"changed","size":2}],"more":0,"added":[0,0],"changed":[1,2],"removed":[0,0],"with_code":0}',
    2, 4096, 1790000700 FROM models LIMIT 1;
INSERT INTO disk_samples VALUES ('2026-09-21', 1790000700, 4098, 0, 1000000);
