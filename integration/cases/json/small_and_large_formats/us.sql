UPDATE t SET j = JSON_REMOVE(j, '$[0]') WHERE id IN (1, 4);
UPDATE t SET j = JSON_SET(j, '$."500"', 'new') WHERE id = 5;
