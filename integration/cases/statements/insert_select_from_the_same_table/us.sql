INSERT INTO t (v) SELECT a.v + b.v FROM t a, t b;
