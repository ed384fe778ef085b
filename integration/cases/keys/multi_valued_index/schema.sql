CREATE TABLE t (id INT PRIMARY KEY, doc JSON, KEY tags ((CAST(doc->'$.tags' AS CHAR(20) ARRAY))), UNIQUE KEY nums ((CAST(doc->'$.nums' AS UNSIGNED ARRAY))));
