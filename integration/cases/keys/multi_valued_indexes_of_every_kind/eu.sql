SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET doc = JSON_SET(doc, '$.nums', JSON_ARRAY(7, 8, 9)) WHERE id = 1;
UPDATE t SET doc = JSON_ARRAY_APPEND(doc, '$.nums', 1), kind = 'a' WHERE id = 2;
UPDATE t SET doc = JSON_ARRAY_APPEND(doc, '$.days', '2026-03-03') WHERE id = 2;
-- error: 1062
UPDATE t SET doc = JSON_OBJECT('days', JSON_ARRAY('2026-01-01')) WHERE id = 4;
