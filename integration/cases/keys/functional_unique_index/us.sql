BEGIN;
UPDATE t SET name = NULL WHERE id = 1;
UPDATE t SET name = 'ANNA' WHERE id = 2;
UPDATE t SET name = 'bert' WHERE id = 1;
COMMIT;
UPDATE t SET n = n + 1000 WHERE n IS NOT NULL;
