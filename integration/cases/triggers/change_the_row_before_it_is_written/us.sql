UPDATE t SET v = 'c' WHERE id = 1;
INSERT INTO t (id, v, n) VALUES (1, 'd', 1) ON DUPLICATE KEY UPDATE v = 'e';
