-- Rows as version 9 wrote them, besides those that version 8 had already.
UPDATE blobs SET modified_ns = 1790000000123456789, inode = 42;
UPDATE session_files SET source = 'found', found_bad = 1;
