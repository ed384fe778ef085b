INSERT INTO t VALUES ('abc', 1), ('äö', 2), ('', 3), ('x', 4);
