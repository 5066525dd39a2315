-- Version 10. Results of verifications, apart from the outcomes of checks.

ALTER TABLE models ADD COLUMN last_verify_at INTEGER;
ALTER TABLE models ADD COLUMN last_verify_outcome TEXT;

-- NULL for a session that is no verification, and for one of a model that was
-- never downloaded. Sessions keep their `outcome` beside it.
ALTER TABLE sessions ADD COLUMN verify_outcome TEXT;

UPDATE sessions SET verify_outcome = CASE
        WHEN outcome = 'repaired' THEN 'verified'
        WHEN outcome = 'up-to-date' AND files_reused = files_total THEN 'verified'
        WHEN outcome = 'failed' AND (error_kind = 'integrity' OR EXISTS (
            SELECT 1 FROM session_files AS file
            WHERE file.session_id = sessions.id AND file.result = 'failed')) THEN 'damaged'
        ELSE 'unproven'
    END
    WHERE state = 'finished' AND outcome <> 'skipped'
        AND run_id IN (SELECT id FROM runs WHERE command = 'verify');

UPDATE models SET (last_verify_at, last_verify_outcome) = (
    SELECT finished_at, CASE
            -- A later download has fetched again what was found bad.
            WHEN verify_outcome = 'damaged' AND EXISTS (
                SELECT 1 FROM sessions AS later
                WHERE later.model_id = models.id AND later.id > newest.id
                    AND later.verify_outcome IS NULL
                    AND later.outcome IN ('updated', 'up-to-date', 'repaired')) THEN 'unproven'
            ELSE verify_outcome
        END
    FROM sessions AS newest
    WHERE newest.model_id = models.id AND newest.verify_outcome IS NOT NULL
    ORDER BY newest.id DESC LIMIT 1);
