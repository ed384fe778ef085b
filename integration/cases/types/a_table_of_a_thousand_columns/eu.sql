INSERT INTO t (id, c1, c3, c500, c998, c999) VALUES (1, 1, 'a', 5, -8, 'zzz'), (2, NULL, '', NULL, 0, NULL);
