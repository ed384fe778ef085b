UPDATE t SET j = JSON_SET(j, '$.n', 2);
