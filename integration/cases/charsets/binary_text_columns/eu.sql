INSERT INTO t VALUES (1, X'00FF', X'FE00', X'80', 'A', X'C3'), (2, 'ab', 'ab ', '', 'a', '');
