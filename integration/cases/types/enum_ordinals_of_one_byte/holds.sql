SELECT e + 0 = 0 AND d + 0 = 0 AND e = '' FROM t WHERE id = 8;
