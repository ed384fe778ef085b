SET SESSION binlog_row_value_options = PARTIAL_JSON;
BEGIN;
UPDATE t SET a = JSON_REMOVE(a, '$.pad');
UPDATE t SET b = JSON_ARRAY_INSERT(b, '$[0]', 'first');
UPDATE t SET a = JSON_SET(a, '$.n', 77) WHERE id < 10;
COMMIT;
