INSERT INTO t VALUES (1, 1, 2), (2, 5, 13);
BEGIN;
INSERT INTO t VALUES (3, 3, 4);
-- error: 3819
INSERT INTO t VALUES (4, 4, 5), (5, 9, 8);
-- error: 3819
UPDATE t SET a = a - 1;
COMMIT;
