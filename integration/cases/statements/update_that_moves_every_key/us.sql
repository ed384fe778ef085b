UPDATE t SET id = id - 1, v = v - 10 ORDER BY id;
UPDATE t SET id = -id;
