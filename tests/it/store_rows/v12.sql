-- Rows as version 12 wrote them, besides those that version 11 had already.
UPDATE models SET moved_ref = 'nothing' WHERE id = 1;
