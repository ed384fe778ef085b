UPDATE t SET j = JSON_SET(j, '$.a', 'whole');
