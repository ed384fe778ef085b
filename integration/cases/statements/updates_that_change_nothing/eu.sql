INSERT INTO t VALUES (1, 1, 'a', NULL), (2, 2, 'b', NULL);
UPDATE t SET v = v;
UPDATE t SET v = 1, c = 'a' WHERE id = 1;
DELETE FROM t WHERE id = 99;
UPDATE t SET v = 5 WHERE id = 99;
