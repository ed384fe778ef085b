INSERT INTO t VALUES ('a', 1), ('a ', 2), ('a  ', 3), ('', 4), (' ', 5), ('A', 6);
