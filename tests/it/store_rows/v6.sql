-- Rows as version 6 wrote them.
INSERT INTO places VALUES ('/cache', '5a0c9c5e-6f0e-4e0b-9d0a-0a1b2c3d4e5f', 'ext4 1f2e3d', 1790000000);
INSERT OR REPLACE INTO model_caches VALUES (1, '/cache');
