INSERT INTO t VALUES ('ab', 'c', 1), ('a', 'bc', 2), ('', 'abc', 3), ('abc', '', 4);
INSERT INTO u VALUES ('ab', 'c', 1), ('a', 'bc', 2), ('', 'abc', 3), ('abc', '', 4), (X'00', X'', 5), (X'', X'00', 6);
