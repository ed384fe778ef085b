SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$.n', 3, '$.huge', -1.7976931348623157e308);
