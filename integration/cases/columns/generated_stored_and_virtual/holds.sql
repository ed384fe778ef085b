SELECT s = a * 2 AND w = s + b AND x = s - b FROM t;
