DELETE FROM t WHERE k = 20;
UPDATE t SET v = 'us' WHERE id = 1;
