-- Rows as version 3 wrote them, besides those that version 2 had already.
INSERT INTO alerts VALUES (1, 'auth', 1790000000, 1790000000, 2, 'cccccccccccccccccccccccccccccccccccccccc');
