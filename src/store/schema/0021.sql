-- Allowances: bytes per day or month.
ALTER TABLE schedules ADD COLUMN limit_daily INTEGER CHECK (limit_daily > 0);
ALTER TABLE schedules ADD COLUMN limit_monthly INTEGER CHECK (limit_monthly > 0);
ALTER TABLE tags ADD COLUMN limit_daily INTEGER CHECK (limit_daily > 0);
ALTER TABLE tags ADD COLUMN limit_monthly INTEGER CHECK (limit_monthly > 0);

-- The ledger of received bytes: one sum for each quarter of an hour, for the home,
-- a schedule (by its id) or a tag. A run records bytes before it receives them, and
-- takes back what it did not need: after a crash too many are counted, never too few.
CREATE TABLE transfers (
    scope   TEXT NOT NULL,
    name    TEXT NOT NULL,
    quarter INTEGER NOT NULL,
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (scope, name, quarter)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_by_quarter ON transfers (quarter);
