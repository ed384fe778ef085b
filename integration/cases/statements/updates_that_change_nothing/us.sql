UPDATE t SET v = IF(id = 1, v, 9);
UPDATE t SET c = 'A' WHERE id = 1;
