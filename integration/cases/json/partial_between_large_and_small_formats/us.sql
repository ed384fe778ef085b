SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$.s', 'short') WHERE id = 1;
UPDATE t SET j = JSON_SET(j, '$.i', 5, '$.n', 6) WHERE id IN (1, 2);
UPDATE t SET j = JSON_SET(j, '$.in.in.again', REPEAT('e', 100000)) WHERE id = 4;
