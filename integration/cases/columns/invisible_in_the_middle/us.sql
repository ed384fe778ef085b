UPDATE t SET b = 5 WHERE a = 7;
UPDATE t SET c = 'w' WHERE id = 3;
