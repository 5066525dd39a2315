-- Rows as version 16 wrote them, besides those that version 15 had already.
UPDATE updates SET gate_command = 'scan', gate_again_at = 1790000800;
