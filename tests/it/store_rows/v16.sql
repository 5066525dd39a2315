-- Rows as version 16 wrote them, besides those that version 15 had already.
UPDATE schedules SET limit_daily = 2147483648, limit_monthly = 53687091200 WHERE id = 1;
UPDATE tags SET limit_daily = 2147483648, limit_monthly = 53687091200;
INSERT INTO transfers (scope, name, quarter, bytes)
VALUES ('home', '', 1790000100, 5000), ('schedule', '1', 1790000100, 5000), ('of-a-later-version', 'x', 1790000100, 1);
