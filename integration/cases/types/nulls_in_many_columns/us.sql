UPDATE t SET a1 = a2, a2 = a1, b1 = b2, b2 = NULL, b8 = NULL, b9 = 257 WHERE id > 2;
UPDATE t SET a9 = 1 WHERE id = 1;
