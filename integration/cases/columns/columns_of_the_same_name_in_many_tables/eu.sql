BEGIN;
INSERT INTO t1 VALUES (1, 1);
INSERT INTO t2 VALUES (1, 1);
INSERT INTO t3 VALUES (1, '1');
INSERT INTO t4 VALUES ('1', '1');
UPDATE t1, t2, t3, t4 SET t1.v = 2, t2.v = 3, t3.v = '4', t4.v = '5' WHERE t1.id = t2.id AND t2.id = t3.id AND t3.id = t4.id;
COMMIT;
