INSERT INTO t VALUES (1, 'x'), (2, 'y');
INSERT INTO t (a, id, b, c) VALUES (NULL, 3, 9, 'z');
