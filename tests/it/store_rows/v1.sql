-- Rows as version 1 wrote them.
INSERT INTO settings VALUES ('disk.reserve', '20G', 1790000000);
INSERT INTO models (name, repo_type, repo_id, revision, include, exclude, destination, priority, enabled, created_at, updated_at)
    VALUES ('acme/tiny', 'model', 'acme/tiny', 'main', '["*.json"]', '[]', 'cache', 50, 1, 1790000000, 1790000000);
INSERT INTO model_tags VALUES (1, 'llm');
INSERT INTO schedules (name, cadence_kind, cadence_spec, time_zone, windows, catch_up, jitter, priority, enabled, selects_all, anchor_at, not_before_at, next_due_at, created_at, updated_at)
    VALUES ('nightly', 'daily', '02:30', 'Europe/Berlin', '["22:00-07:00"]', 'once', 0, 50, 1, 0, 1790000000, 1790000000, 1790000000, 1790000000, 1790000000);
INSERT INTO schedule_models VALUES (1, 1);
INSERT INTO runs (id, command, trigger, host, pid, version, started_at, heartbeat_at)
    VALUES ('019f0000-0000-7000-8000-000000000000', 'run-due', 'timer', 'machine', 1, '0.1.0', 1790000000, 1790000000);
INSERT INTO sessions (run_id, model_id, model_name, repo_type, repo_id, revision, destination, schedule_id, schedule_name, slot_at, trigger, state, outcome, bytes_reused, started_at, finished_at)
    VALUES ('019f0000-0000-7000-8000-000000000000', 1, 'acme/tiny', 'model', 'acme/tiny', 'main', 'cache', 1, 'nightly', 1790000000, 'timer', 'finished', 'updated', 5, 1790000000, 1790000001);
INSERT INTO session_files (session_id, path, content_id, size, bytes_fetched, bytes_reused, source, retries, result)
    VALUES (1, 'config.json', 'git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 0, 0, 0, 'http', 0, 'verified');
INSERT INTO blobs (path, content_id, size, verified_at, first_seen_at)
    VALUES ('/cache/blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 'git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 0, 1790000000, 1790000000);
INSERT INTO events (at, kind, model_id, detail) VALUES (1790000000, 'recovered', 1, '');
