UPDATE t SET doc = JSON_SET(doc, '$.x', 2), n = 10 WHERE k = 'a';
UPDATE t SET doc = JSON_SET(doc, '$.id', 'z') WHERE k = 'b';
DELETE FROM t WHERE k = 'c';
