INSERT INTO t (id, a, n, b) SELECT n, JSON_OBJECT('n', n, 'pad', REPEAT('p', 300)), n, JSON_ARRAY(n, REPEAT('q', 300)) FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50) SELECT n FROM s) AS x;
SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET a = JSON_SET(a, '$.n', n + 1), b = JSON_SET(b, '$[0]', n + 2) WHERE id % 2 = 0;
UPDATE t SET a = JSON_SET(a, '$.n', 0), b = NULL WHERE id % 3 = 0;
