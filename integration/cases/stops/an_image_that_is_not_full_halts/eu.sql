INSERT INTO t VALUES (1, 1, 1);
SET SESSION binlog_row_image = MINIMAL;
UPDATE t SET v = 2;
