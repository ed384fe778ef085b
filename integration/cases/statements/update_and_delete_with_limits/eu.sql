INSERT INTO t VALUES (1, 5), (2, 4), (3, 3), (4, 2), (5, 1);
UPDATE t SET v = 100 ORDER BY v LIMIT 2;
