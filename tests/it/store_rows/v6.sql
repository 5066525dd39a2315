-- Rows as version 6 wrote them, besides those that version 5 had already.
UPDATE models SET needs_token = 1;
