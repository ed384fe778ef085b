SELECT j->'$.a' = 2 AND JSON_LENGTH(j, '$.c') = 2 AND j->>'$.d' = 'new' FROM t WHERE id = 1;
