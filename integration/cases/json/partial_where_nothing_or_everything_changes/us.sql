SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET k = JSON_SET(k, '$.b', 6), v = v + 1;
REPLACE INTO t SELECT id, JSON_SET(j, '$.r', 1), k, v FROM t WHERE id = 1;
