UPDATE t SET v = CONCAT(v, 'x') WHERE id < 3;
