INSERT INTO t VALUES (1, JSON_OBJECT('a', REPEAT('x', 1000), 'b', 1, 'c', JSON_ARRAY(1, 2, 3)));
UPDATE t SET j = JSON_SET(j, '$.a', 'small');
UPDATE t SET j = JSON_REMOVE(j, '$.c[1]');
