-- Rows as version 12 wrote them, besides those that version 11 had already.
UPDATE models SET token_name = 'work';
