-- Rows as version 16 writes them, on top of those of version 15.
INSERT INTO scrubs VALUES (0, 1, 1700000000, 1700072000, 3, 300, 100, 200, 0, 1690000000);
INSERT INTO scrub_positions VALUES ('/cache/models--acme--tiny/blobs/aa',
    'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 200,
    1690000000000000000, 7, 100, x'00', 1700000000);
INSERT INTO evidence VALUES ('/cache/models--acme--tiny/.hfdl/aa.incomplete.bad', 1700000000);
