SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$.c[0]', CAST(1.5 AS DECIMAL(5,2)), '$.d', 'new') WHERE id = 1;
UPDATE t SET j = JSON_SET(j, '$[0]', 1, '$[1]', 'short') WHERE id = 2;
