-- Rows as version 13 wrote them, besides those that earlier versions had already.
UPDATE models SET token_name = 'work';
UPDATE models SET moved_ref = 'nothing' WHERE id = 1;
