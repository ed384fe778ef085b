UPDATE t SET j = JSON_SET(j, '$.a', REPEAT('y', 900));
UPDATE t SET j = JSON_REPLACE(j, '$.b', NULL);
