-- Version 7. Homes that do a part of the work, and sessions in their true order.

-- The shards for which this home was asked to run; 0 of 1 is all models.
CREATE TABLE shards (
    number       INTEGER NOT NULL CHECK (number >= 0),
    n_shards     INTEGER NOT NULL CHECK (n_shards > number),
    last_tick_at INTEGER NOT NULL,
    PRIMARY KEY (n_shards, number)
) STRICT, WITHOUT ROWID;

-- The slots of a schedule as far as a shard's models are concerned. For all
-- models together they are in `schedules`.
CREATE TABLE schedule_shards (
    schedule_id  INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL CHECK (number >= 0),
    n_shards     INTEGER NOT NULL CHECK (n_shards > number),
    last_slot_at INTEGER,
    open_slot_at INTEGER,
    retry_at     INTEGER,
    retry_count  INTEGER NOT NULL CHECK (retry_count BETWEEN 0 AND 4294967295),
    PRIMARY KEY (schedule_id, n_shards, number)
) STRICT, WITHOUT ROWID;

-- The newest session of a model is the one that was written last: by its date
-- it would be one from a time when the clock was ahead.
CREATE INDEX sessions_of_model ON sessions (model_id) WHERE model_id IS NOT NULL;
