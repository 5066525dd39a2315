-- The gate that held the update: its command, and when it looks again. NULL: never held
-- by a gate; without a time it does not look again.
ALTER TABLE updates ADD COLUMN gate_command TEXT;
ALTER TABLE updates ADD COLUMN gate_again_at INTEGER
    CHECK (gate_again_at IS NULL OR gate_command IS NOT NULL);
