REPLACE INTO t VALUES (3, 1, 'z', 9), (5, 5, 'e', 5), (5, 6, 'e', 6);
REPLACE INTO n SELECT id, v + 10 FROM n;
REPLACE n SET id = 1, v = 99;
