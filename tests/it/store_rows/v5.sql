-- Rows as version 5 wrote them, besides those that version 4 had already.
UPDATE models SET update_commit = 'ffffffffffffffffffffffffffffffffffffffff', update_reason = 'no-files',
    update_accepted = 1;
