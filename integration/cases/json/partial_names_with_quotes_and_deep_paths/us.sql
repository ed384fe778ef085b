SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_REMOVE(j, '$."a.b"', '$."q\\"q"', '$."ключ"', '$.""', '$."$"', '$."new\\nline"', CONCAT('$.', REPEAT('k', 300)));
UPDATE t SET j = JSON_SET(j, '$.deep.er[0]', JSON_OBJECT('x', 'z')) WHERE id = 3;
DELETE FROM t WHERE id = 1;
