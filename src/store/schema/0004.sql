-- Version 4. Where bytes came from that were not fetched.

-- What a session reused and did not find in place: a short list, which no
-- query looks into. NULL before the session has come that far, and for those
-- of older versions.
ALTER TABLE sessions ADD COLUMN reused_from TEXT CHECK (json_type(reused_from) = 'array');
