UPDATE t SET j = JSON_SET(j, '$.a.a.a.a.a', 2) WHERE id = 2;
UPDATE t SET j = JSON_ARRAY_APPEND(j, '$', 'x') WHERE id = 1;
