SET SESSION binlog_row_value_options = PARTIAL_JSON, SESSION binlog_transaction_compression = ON;
UPDATE t SET a = JSON_SET(a, CONCAT('$.k', n % 6), NULL), c = JSON_SET(c, '$.from', 'the other side') WHERE n % 3 > 0;
UPDATE t SET a = JSON_REMOVE(a, '$.pad'), b = JSON_REMOVE(b, '$[last]') WHERE n % 2 = 0;
XA START 'partial';
UPDATE t SET a = JSON_SET(a, '$.xa', n), b = JSON_ARRAY_APPEND(b, '$', 'xa');
XA END 'partial';
XA PREPARE 'partial';
XA COMMIT 'partial';
