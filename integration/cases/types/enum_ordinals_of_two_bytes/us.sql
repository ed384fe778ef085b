UPDATE t SET e = 700 WHERE id = 1;
UPDATE t SET e = 1 WHERE id = 5;
