-- Rows as version 16 wrote them, besides those that version 15 had already.
UPDATE models SET published_licence = 'mit', published_gating = 'no' WHERE id = 1;
