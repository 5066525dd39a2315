-- Rows as version 8 wrote them, besides those that version 7 had already.
UPDATE models SET needs_token = 1;
