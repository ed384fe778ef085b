INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', 3);
BEGIN;
UPDATE t SET a = NULL WHERE id = 1;
UPDATE t SET a = 'X' WHERE id = 2;
UPDATE t SET a = 'Y' WHERE id = 1;
COMMIT;
