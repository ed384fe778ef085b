INSERT INTO t VALUES (4, 'e', 'four', 4, 4);
UPDATE t SET d = d + 1 WHERE id < 3;
