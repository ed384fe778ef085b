SET timestamp = 1;
INSERT INTO t (id) VALUES (1);
SET timestamp = 2147483646.999999;
INSERT INTO t (id) VALUES (2);
SET timestamp = DEFAULT;
INSERT INTO t (id) VALUES (3);
