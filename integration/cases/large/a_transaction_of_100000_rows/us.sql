UPDATE t SET v = CONCAT(v, '!') WHERE id % 2;
