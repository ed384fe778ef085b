INSERT INTO t VALUES (X'', 1), (X'00', 2), (X'0000', 3), (X'20', 4), (X'FF', 5), ('a', 6), ('A', 7);
INSERT INTO u VALUES (X'00', 1), (X'20', 2), (X'FFFFFFFF', 3), ('a', 4), ('A', 5);
