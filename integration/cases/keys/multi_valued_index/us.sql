UPDATE t SET doc = '{"tags": ["b", "c"], "nums": [2, 5]}' WHERE id = 1;
UPDATE t SET doc = JSON_ARRAY_APPEND(doc, '$.nums', 1) WHERE id = 2;
DELETE FROM t WHERE id = 3;
