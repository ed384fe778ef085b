INSERT INTO t VALUES (1, 'binlog events arrive', 'first'), (2, 'nothing of interest', 'second');
INSERT INTO u (id, body) VALUES (1, 'binlog events arrive'), (2, 'other');
