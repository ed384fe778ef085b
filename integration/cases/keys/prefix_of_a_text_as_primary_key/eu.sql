INSERT INTO t VALUES ('abcdefghijklm', 1), ('abcdefghi', 2), ('é', 3);
INSERT INTO u VALUES (X'0102030405', 1), (X'01', 2), (X'', 3);
