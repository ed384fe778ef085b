CALL fill(10);
INSERT INTO t (v) SELECT noted(v) FROM t WHERE v < 3;
CALL half();
