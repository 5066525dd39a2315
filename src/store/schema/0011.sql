-- Version 11. Word lists are checked by the code, so that a new word needs no
-- migration. `sessions.state` keeps its check: other checks build on its two
-- words.

-- No table is copied: without a check the rows are the same, and a million
-- sessions would take minutes on a small machine. SQLite describes this way in
-- https://www.sqlite.org/lang_altertable.html, section 7. The new schema version
-- that it asks for is set by the code.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql,
        ' CHECK (repo_type IN (''model'', ''dataset'', ''space''))', ''),
        ' CHECK (upstream_state IN (''ok'', ''orphaned'', ''gated'', ''renamed''))', '')
    WHERE type = 'table' AND name = 'models';
UPDATE sqlite_schema SET sql = replace(replace(sql,
        ' CHECK (cadence_kind IN (''interval'', ''daily'', ''weekly'', ''monthly'', ''cron'', ''once''))', ''),
        ' CHECK (catch_up IN (''once'', ''skip''))', '')
    WHERE type = 'table' AND name = 'schedules';
UPDATE sqlite_schema SET sql = replace(replace(replace(sql,
        ' CHECK (command IN (''run-due'', ''download'', ''verify'', ''prune'', ''adopt'', ''models''))', ''),
        ' CHECK (trigger IN (''timer'', ''ci'', ''manual''))', ''),
        ' CHECK (outcome IN (''ok'', ''failed'', ''partial'', ''skipped-locked'', ''skipped-paused'', ''interrupted'', ''crashed''))', '')
    WHERE type = 'table' AND name = 'runs';
UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
        ' CHECK (repo_type IN (''model'', ''dataset'', ''space''))', ''),
        ' CHECK (trigger IN (''timer'', ''ci'', ''manual''))', ''),
        ' CHECK (outcome IN (''updated'', ''up-to-date'', ''repaired'', ''partial'', ''held'', ''could-not-check'', ''orphaned'', ''skipped'', ''failed''))', ''),
        ' CHECK (error_kind IN (''integrity'', ''auth'', ''disk'', ''network'', ''rate-limit'', ''not-found'', ''hub'', ''config'', ''internal''))', '')
    WHERE type = 'table' AND name = 'sessions';
UPDATE sqlite_schema SET sql = replace(sql,
        ' CHECK (kind IN (''missed-tick'', ''missed-slot'', ''skipped'', ''crashed'', ''failing'', ''recovered'', ''orphaned'', ''gated'', ''renamed'', ''held'', ''rolled-back'', ''released'', ''pruned'', ''corrupt'', ''delta-abandoned'', ''hook-failed'', ''disk-low'', ''clock-back'', ''clock-reset'', ''zone-data-changed''))', '')
    WHERE type = 'table' AND name = 'events';
UPDATE sqlite_schema SET sql = replace(sql,
        ' CHECK (error_kind IN (''integrity'', ''auth'', ''disk'', ''network'', ''rate-limit'', ''not-found'', ''hub'', ''config'', ''internal''))', '')
    WHERE type = 'table' AND name = 'alerts';
UPDATE sqlite_schema SET sql = replace(sql,
        ' CHECK (way IN (''xet-answers'', ''xet-chunks'', ''plain-files''))', '')
    WHERE type = 'table' AND name = 'dead_ends';
PRAGMA writable_schema = RESET;
