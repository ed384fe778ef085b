UPDATE t SET j = JSON_SET(j, '$[4]', CAST(2.5 AS DECIMAL(3,1))) WHERE id = 1;
UPDATE t SET j = JSON_ARRAY(j->'$.bin', j) WHERE id = 2;
