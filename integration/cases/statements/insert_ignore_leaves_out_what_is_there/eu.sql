INSERT IGNORE INTO t VALUES (1, 1, 1), (1, 2, 2), (2, 1, 3), (3, 3, 4), (4, 4, NULL), (5, 5, '6x');
