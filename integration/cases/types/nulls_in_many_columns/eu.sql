INSERT INTO t (id, b5) VALUES (1, ''), (2, 'x');
INSERT INTO t VALUES (3, 1, NULL, 3, NULL, 5, NULL, 7, NULL, 9, '1', NULL, '3', NULL, '5', NULL, '7', NULL, 9), (4, NULL, 2, NULL, 4, NULL, 6, 7, 8, NULL, NULL, '2', NULL, '4', '', '6', NULL, 3, NULL);
