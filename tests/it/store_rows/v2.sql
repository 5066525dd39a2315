-- Rows as version 2 wrote them, besides those that version 1 had already.
INSERT INTO model_revisions VALUES (1, 'cccccccccccccccccccccccccccccccccccccccc', 1790000000);
INSERT INTO bad_files VALUES ('/cache/blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 'git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 1790000000);
INSERT INTO events (at, kind, model_id, detail) VALUES (1790000000, 'rolled-back', 1, '');
