-- Rows as version 8 wrote them, besides those that version 7 had already.
UPDATE blobs SET modified_ns = 1790000000123456789, inode = 42;
UPDATE session_files SET source = 'found', found_bad = 1;
