INSERT INTO t VALUES (1, 1);
BEGIN;
INSERT INTO t VALUES (2, 2);
UPDATE t SET v = 9;
ROLLBACK;
BEGIN;
DELETE FROM t;
-- connection: two
UPDATE t SET v = 2 WHERE id = 99;
-- connection: one
ROLLBACK;
