-- Rows as version 4 wrote them, besides those that version 3 had already.
UPDATE sessions SET reused_from = '[{"kind":"other-run","path":"config.json","n":1,"bytes":5}]';
