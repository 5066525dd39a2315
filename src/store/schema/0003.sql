-- Version 3. What is told to others, and how often things have happened.

-- What has been told of a model: trouble that is not over, and the newer
-- commit that a hold keeps back.
CREATE TABLE alerts (
    model_id    INTEGER NOT NULL PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE,
    error_kind  TEXT CHECK (error_kind IN ('integrity', 'auth', 'disk', 'network', 'rate-limit', 'not-found', 'hub', 'config', 'internal')),
    since       INTEGER,
    told_at     INTEGER,
    n_failures  INTEGER NOT NULL DEFAULT 0 CHECK (n_failures BETWEEN 0 AND 4294967295),
    held_commit TEXT CHECK (length(held_commit) = 40),
    CHECK ((error_kind IS NULL) = (since IS NULL))
) STRICT;

-- Counts that only grow. History is deleted after a while, and whoever adds
-- it up again would find less than before. Triggers count, so that a crashed
-- session, which another process closes, is not missed.
CREATE TABLE model_totals (
    model_id      INTEGER NOT NULL PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE,
    bytes_fetched INTEGER NOT NULL CHECK (bytes_fetched >= 0)
) STRICT;
INSERT INTO model_totals (model_id, bytes_fetched)
    SELECT model_id, sum(bytes_fetched) FROM sessions
    WHERE model_id IS NOT NULL AND state = 'finished' GROUP BY model_id;
CREATE TRIGGER session_is_counted AFTER UPDATE OF state ON sessions
    WHEN new.state = 'finished' AND old.state = 'running' AND new.model_id IS NOT NULL
BEGIN
    INSERT INTO model_totals (model_id, bytes_fetched) VALUES (new.model_id, new.bytes_fetched)
        ON CONFLICT (model_id) DO UPDATE SET bytes_fetched = bytes_fetched + excluded.bytes_fetched;
END;

CREATE TABLE run_totals (
    outcome TEXT NOT NULL PRIMARY KEY,
    n_runs  INTEGER NOT NULL CHECK (n_runs >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO run_totals (outcome, n_runs)
    SELECT outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY outcome;
CREATE TRIGGER run_is_counted AFTER UPDATE OF outcome ON runs
    WHEN new.outcome IS NOT NULL AND old.outcome IS NULL
BEGIN
    INSERT INTO run_totals (outcome, n_runs) VALUES (new.outcome, 1)
        ON CONFLICT (outcome) DO UPDATE SET n_runs = n_runs + 1;
END;
