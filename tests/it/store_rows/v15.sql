-- Rows as version 15 wrote them, besides those that version 14 had already.
INSERT INTO session_notes (session_id, commit_sha, old_commit, bytes_fetched, bytes_reused, noted_at)
SELECT id, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'dddddddddddddddddddddddddddddddddddddddd',
    2, 4096, 1790000700 FROM sessions LIMIT 1;
