INSERT INTO t VALUES (1, 'Anna', 1), (2, 'Bert', 2), (3, NULL, NULL), (4, NULL, NULL);
-- error: 1062
INSERT INTO t VALUES (5, 'ANNA', 5);
