-- Rows as version 13 wrote them, besides those that version 12 had already: a second
-- selection of a revision that another model follows.
INSERT INTO models (name, repo_type, repo_id, revision, include, exclude, destination, priority, enabled,
        last_verify_outcome, created_at, updated_at)
    SELECT name || ':Q8_0', repo_type, repo_id, revision, '[":Q8_0"]', exclude, 'cache', priority, enabled,
        last_verify_outcome, created_at, updated_at
    FROM models WHERE destination = 'cache' LIMIT 1;
