UPDATE t SET r = RAND(), j = DEFAULT, n = 5 WHERE id = 1;
INSERT INTO t (id) VALUES (4);
