BEGIN;
INSERT INTO t VALUES (1, 1);
-- connection: two
BEGIN;
INSERT INTO t VALUES (2, 2);
-- connection: one
INSERT INTO t VALUES (3, 3);
-- connection: two
COMMIT;
-- connection: one
UPDATE t SET v = v + 10 WHERE id <> 2;
COMMIT;
-- connection: two
UPDATE t SET v = v * 2;
