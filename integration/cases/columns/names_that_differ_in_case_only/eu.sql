INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO T VALUES (1, 'one'), (2, 'two');
