INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 40);
UPDATE t SET id = id + 1 ORDER BY id DESC;
