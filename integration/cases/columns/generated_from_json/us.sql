UPDATE t SET doc = JSON_SET(doc, '$.n', 7) WHERE name = 'b';
UPDATE t SET doc = JSON_SET(doc, '$.name', 'c') WHERE id = 3;
