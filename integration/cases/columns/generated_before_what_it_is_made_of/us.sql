UPDATE t SET c = 'ß' WHERE g = 3;
UPDATE t SET a = 5 WHERE id = 2;
