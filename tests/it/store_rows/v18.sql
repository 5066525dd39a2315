-- Rows as version 18 wrote them, besides those that version 17 had already.
INSERT INTO change_notes (model_id, commit_sha, old_commit, commits, files, bytes_fetched, bytes_reused, noted_at, terms)
SELECT id, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'dddddddddddddddddddddddddddddddddddddddd',
    '{"list":[{"id":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","title":"Better","at":"2026-03-01T08:00:00Z"}],"more":false,"rewritten":false}',
    '{"list":[{"path":"config.json","change":"changed","size":2}],"more":0,"added":[0,0],"changed":[1,2],"removed":[0,0],"with_code":0}',
    2, 4096, 1790000700, '["mit","no","mit","auto"]' FROM models LIMIT 1;
INSERT INTO disk_samples VALUES ('2026-09-21', 1790000700, 4098, 0, 1000000);
