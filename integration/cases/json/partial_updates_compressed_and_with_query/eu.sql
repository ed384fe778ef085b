INSERT INTO t VALUES (1, JSON_OBJECT('a', REPEAT('x', 1000), 'b', 1));
SET SESSION binlog_row_value_options = PARTIAL_JSON, SESSION binlog_transaction_compression = ON, SESSION binlog_rows_query_log_events = ON;
UPDATE t SET j = JSON_SET(j, '$.b', 2);
UPDATE t SET j = JSON_SET(j, '$.b', '', '$.c', JSON_OBJECT());
