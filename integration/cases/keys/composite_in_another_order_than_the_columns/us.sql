UPDATE t SET v = v * 10;
UPDATE t SET b = 'X' WHERE v = 20;
UPDATE t SET a = a + 1 WHERE v = 40;
DELETE FROM t WHERE v = 10;
