INSERT INTO t VALUES (1, 1), (2, 255), (3, 256), (4, 257), (5, 700), (6, NULL);
