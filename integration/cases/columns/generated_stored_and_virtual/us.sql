UPDATE t SET a = a + 1 WHERE id < 3;
UPDATE t SET b = b + 100 WHERE id = 3;
DELETE FROM t WHERE v = '<2>';
