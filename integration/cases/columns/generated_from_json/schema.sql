CREATE TABLE t (id INT PRIMARY KEY, doc JSON, name VARCHAR(20) AS (doc->>'$.name') VIRTUAL, n INT AS (doc->'$.n') STORED, UNIQUE KEY (name), KEY (n));
