-- Rows as version 14 wrote them, besides those that earlier versions had already.
UPDATE schedules SET limit_daily = 2147483648, limit_monthly = 53687091200 WHERE id = 1;
INSERT INTO transfers (scope, name, quarter, bytes)
    VALUES ('home', '', 1790000100, 5000), ('schedule', '1', 1790000100, 5000), ('of-a-later-version', 'x', 1790000100, 1);
INSERT INTO tag_limits (tag, limit_daily, limit_monthly) VALUES ('llm', 2147483648, NULL);
