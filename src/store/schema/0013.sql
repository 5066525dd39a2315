-- Version 13. Several models of the cache may follow one revision, each with its own
-- selection of files; a directory still has one model. The code has made `models_new`:
-- `models` with all of its columns and without the old rule.

INSERT INTO models_new SELECT * FROM models;
-- Numbers of removed models are not given again.
DELETE FROM sqlite_sequence WHERE name = 'models_new';
UPDATE sqlite_sequence SET name = 'models_new' WHERE name = 'models';
DROP TABLE models;
ALTER TABLE models_new RENAME TO models;
CREATE UNIQUE INDEX models_by_copy
    ON models (repo_type, repo_id, revision, destination, coalesce(include, ''), exclude);
CREATE UNIQUE INDEX models_by_directory
    ON models (repo_type, repo_id, revision, destination) WHERE destination <> 'cache';
