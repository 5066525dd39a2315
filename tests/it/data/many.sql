-- What years of use leave: 10,000 models, 1,000 schedules with nothing due
-- before 2033, 1,000 runs, 1,000,000 sessions. For a database that is new.
PRAGMA cache_size = -400000;
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = OFF;
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO models (id, name, repo_type, repo_id, revision, exclude, destination,
        priority, enabled, created_at, updated_at)
    SELECT i, 'acme/m' || i, 'model', 'acme/m' || i, 'main', '[]', 'cache', 50, 1, 0, 0 FROM n;
INSERT INTO model_tags (model_id, tag) SELECT id, 'group-' || (id / 100) FROM models;
INSERT INTO schedules (id, name, cadence_kind, cadence_spec, time_zone, windows, catch_up,
        jitter, priority, enabled, selects_all, anchor_at, not_before_at, next_due_at,
        created_at, updated_at)
    SELECT id, 's' || id, 'daily', '02:30',
        CASE id % 4 WHEN 0 THEN 'UTC' WHEN 1 THEN 'Europe/Berlin' WHEN 2 THEN 'Asia/Kolkata'
            ELSE 'America/New_York' END,
        '[]', 'once', 0, 50, 1, 0, 0, 0, 2000000000 + id, 0, 0
    FROM models WHERE id <= 1000;
INSERT INTO schedule_tags (schedule_id, tag) SELECT id, 'group-' || (id % 100) FROM schedules;
INSERT INTO runs (id, command, trigger, host, pid, version, started_at, heartbeat_at,
        finished_at, outcome)
    SELECT printf('%08d-0000-7000-8000-000000000000', id), 'run-due', 'timer', 'h', 1, '0',
        id, id, id, 'ok'
    FROM models WHERE id <= 1000;
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
    INSERT INTO sessions (run_id, model_id, repo_type, repo_id, revision, destination,
        trigger, state, outcome, started_at, finished_at)
    SELECT printf('%08d-0000-7000-8000-000000000000', 1 + i / 1000), 1 + i % 10000, 'model',
        'm', 'main', 'cache', 'timer', 'finished',
        CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'up-to-date' END, i, i
    FROM n;
COMMIT;
