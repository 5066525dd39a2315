-- Rows as version 10 wrote them, besides those that version 9 had already.
UPDATE models SET last_verify_at = 1790000400, last_verify_outcome = 'damaged';
