-- Rows as version 17 wrote them, besides those that version 16 had already.
UPDATE updates SET gate_command = 'scan', gate_again_at = 1790000800;
