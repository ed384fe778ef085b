INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1), (6, 6);
DELETE FROM t WHERE id = 2;
