UPDATE t SET v = 3, a = 9 WHERE a = 1;
DELETE FROM t WHERE a = 0;
