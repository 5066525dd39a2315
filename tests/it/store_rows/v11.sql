-- Rows as version 11 wrote them, besides those that version 10 had already. A
-- later version with the same schema may know more words.
INSERT INTO events (at, kind, model_id, detail) VALUES (1790000500, 'of-a-later-version', 1, '');
