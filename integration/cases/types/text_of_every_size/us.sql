UPDATE t SET d = CONCAT(c, 'x'), b = a WHERE id IN (1, 4);
UPDATE t SET a = '' WHERE id = 3;
