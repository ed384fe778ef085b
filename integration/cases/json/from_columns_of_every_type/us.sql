UPDATE t, s SET j = JSON_SET(j, '$.a', s.m, '$.z', s.d) WHERE t.id = 1;
