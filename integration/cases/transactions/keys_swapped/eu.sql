INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');
BEGIN;
UPDATE t SET id = 0 WHERE id = 1;
UPDATE t SET id = 1 WHERE id = 2;
UPDATE t SET id = 2 WHERE id = 0;
COMMIT;
