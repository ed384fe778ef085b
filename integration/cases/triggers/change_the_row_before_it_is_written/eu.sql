INSERT INTO t (id, v, n) VALUES (1, 'a', 1), (2, 'b', NULL);
