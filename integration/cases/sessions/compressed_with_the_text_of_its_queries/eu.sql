SET SESSION binlog_transaction_compression = ON, SESSION binlog_rows_query_log_events = ON;
BEGIN;
INSERT INTO t /* a comment 'with' "signs" */ VALUES (1, REPEAT('é', 5000));
INSERT INTO u VALUES (1, '{"a": [1, 2, 3]}');
UPDATE t, u SET t.v = 'x', u.v = JSON_SET(u.v, '$.b', 1);
COMMIT;
