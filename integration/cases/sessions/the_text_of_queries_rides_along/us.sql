SET SESSION binlog_rows_query_log_events = ON;
UPDATE t SET v = CONCAT(v, REPEAT('x', 250)) WHERE id = 4;
