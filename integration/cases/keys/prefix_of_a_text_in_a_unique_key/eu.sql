INSERT INTO t VALUES (1, 'abcdefg', X'010203FF'), (2, 'abcd', X'0102'), (3, NULL, NULL), (4, NULL, NULL);
