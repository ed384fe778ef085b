SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE t SET j = JSON_SET(j, '$."a.b"', 'x', '$."q\\"q"', JSON_ARRAY(1), '$."[0]"', 'x', '$."ключ"', 'новое', '$."日本語"', '値', '$."a b"', NULL) WHERE id = 1;
UPDATE t SET j = JSON_SET(j, '$."back\\\\slash"', 'x\\y', '$."new\\nline"', 'a\nb', '$.""', 'empty', '$."$"', TRUE, '$."😀"', '😀😀', '$."é"', 'é', '$."*"', '*', '$.last', 'l') WHERE id = 1;
UPDATE t SET j = JSON_SET(j, CONCAT('$.', REPEAT('k', 300)), 'long name', '$."\\u0001"', 'control', '$."/"', '/') WHERE id = 1;
UPDATE t SET j = JSON_REMOVE(j, '$.deep.er[1][1][1][0]') WHERE id = 2;
UPDATE t SET j = JSON_SET(j, '$.deep.er[1][1][1][0].end', 'there', '$.deep.er[1][1][1][0]."new one"', JSON_OBJECT('n', JSON_ARRAY())) WHERE id = 2;
UPDATE t SET j = JSON_SET(j, '$.deep.er[1][1][1][0]."new one".n[0]', 'in what was just made'), pad = 'q' WHERE id = 2;
UPDATE t SET j = JSON_REPLACE(j, '$.deep.er[0].x', 'seen by a virtual column') WHERE id = 2;
UPDATE t SET j = JSON_SET(j, '$.moved', TRUE), id = 3 WHERE id = 2;
