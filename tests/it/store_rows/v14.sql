-- Rows as version 14 wrote them, besides those that version 13 had already.
UPDATE models SET pinned_commit = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', pinned_by = 'policy';
UPDATE updates SET old_commit = 'dddddddddddddddddddddddddddddddddddddddd', decided_at = 1790000600,
    note = 'seen', published_at = 1790000700;
