INSERT INTO t VALUES ROW(1, 1), ROW(2, 2), ROW(3, 3);
INSERT INTO u TABLE t ORDER BY id LIMIT 2;
INSERT INTO u SELECT j.id, j.v FROM JSON_TABLE('[{"id": 10, "v": 1}, {"id": 11, "v": 2}]', '$[*]' COLUMNS (id INT PATH '$.id', v INT PATH '$.v')) AS j;
