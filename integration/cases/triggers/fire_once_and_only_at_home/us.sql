UPDATE t SET v = v + 1;
DELETE FROM t WHERE id = 1;
