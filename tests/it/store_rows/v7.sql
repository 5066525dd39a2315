-- Rows as version 7 wrote them, besides those that version 6 had already.
INSERT INTO shards VALUES (0, 2, 1790000000);
INSERT INTO schedule_shards SELECT id, 0, 2, 1790000000, NULL, 1790000300, 1 FROM schedules;
