SELECT a = 7 AND b = 5 FROM t WHERE id < 3;
