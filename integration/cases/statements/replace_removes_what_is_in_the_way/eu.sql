INSERT INTO t VALUES (1, 1, 'a', 1), (2, 2, 'b', 2), (3, 3, 'c', 3);
REPLACE INTO t VALUES (4, 1, 'B', 4);
REPLACE INTO n VALUES (1, 1), (1, 2), (2, 3);
