SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_REMOVE(j, '$[0]') WHERE id <> 2;
UPDATE t SET j = JSON_REMOVE(j, '$[last]') WHERE id = 3;
UPDATE t SET j = JSON_SET(j, '$[0].pad', '') WHERE id = 2;
