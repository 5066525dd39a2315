-- Rows as version 15 wrote them, besides those that version 14 had already.
UPDATE updates SET gate_command = 'scan', gate_again_at = 1790000800;
