INSERT INTO t VALUES (1, 1);
SET sql_log_bin = 0;
INSERT INTO t VALUES (2, 2);
DELETE FROM t WHERE id = 2;
SET sql_log_bin = 1;
INSERT INTO t VALUES (2, 3);
