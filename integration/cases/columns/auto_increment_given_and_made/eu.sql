INSERT INTO t (v) VALUES (1), (2), (3);
INSERT INTO t VALUES (100, 4), (NULL, 5), (0, 6), (-5, 7);
INSERT INTO u (v, k) VALUES (1, 1), (2, 2);
