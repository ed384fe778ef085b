INSERT INTO t VALUES (1, JSON_OBJECT('a', 1, 'b', REPEAT('x', 500), 'c', JSON_ARRAY(1, 2, 3)), 1), (2, JSON_ARRAY(1, REPEAT('y', 500)), 2), (3, NULL, 3);
SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$.a', 2) WHERE id = 1;
UPDATE t SET j = JSON_REPLACE(j, '$[0]', 'replaced'), v = 9 WHERE id = 2;
UPDATE t SET j = JSON_REMOVE(j, '$.c[1]') WHERE id = 1;
UPDATE t SET j = JSON_SET(j, '$.x', 1) WHERE id = 3;
UPDATE t SET v = v + 1;
