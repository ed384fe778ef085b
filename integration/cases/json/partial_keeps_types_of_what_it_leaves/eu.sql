SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$.n', 2);
UPDATE t SET j = JSON_SET(j, '$.list', JSON_ARRAY(CAST('1999-12-31' AS DATE), CAST(0.10 AS DECIMAL(3,2)), x'ff', 1e0, CAST('00:00:00.000001' AS TIME(6))));
UPDATE t SET j = JSON_SET(j, '$.list[0]', CAST('2000-01-01 00:00:00' AS DATETIME), '$.list[1]', CAST(0.1 AS DECIMAL(3,1)), '$.one', 1, '$.u1', CAST(-1 AS SIGNED));
UPDATE t SET j = JSON_REMOVE(JSON_SET(j, '$.decimal', CAST(99999999999999999999.99 AS DECIMAL(30,2)), '$.copy', j->'$.time'), '$.pad');
