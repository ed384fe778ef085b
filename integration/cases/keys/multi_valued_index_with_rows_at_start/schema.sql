CREATE TABLE t (id INT PRIMARY KEY, doc JSON, KEY nums ((CAST(doc->'$.nums' AS UNSIGNED ARRAY))));
INSERT INTO t VALUES (1, '{"nums": [1, 2]}'), (2, '{"nums": []}'), (3, NULL);
