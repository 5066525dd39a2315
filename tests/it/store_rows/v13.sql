-- Rows as version 13 wrote them, besides those that version 12 had already.
UPDATE models SET moved_ref = 'nothing' WHERE id = 1;
