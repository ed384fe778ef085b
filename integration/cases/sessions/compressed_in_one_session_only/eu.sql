INSERT INTO t VALUES (1, REPEAT('plain', 1000));
-- connection: two
SET SESSION binlog_transaction_compression = ON;
INSERT INTO t VALUES (2, REPEAT('small ', 20000)), (3, 'x');
BEGIN;
UPDATE t SET v = CONCAT(v, '!') WHERE id < 3;
DELETE FROM t WHERE id = 3;
INSERT INTO t VALUES (4, '');
COMMIT;
-- connection: one
UPDATE t SET v = 'again' WHERE id = 4;
