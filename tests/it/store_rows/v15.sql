-- Rows as version 15 wrote them, besides those that version 14 had already.
UPDATE models SET published_licence = 'mit', published_gating = 'no' WHERE id = 1;
