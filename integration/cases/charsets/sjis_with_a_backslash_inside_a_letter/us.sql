UPDATE t SET v = CONCAT(x, v), e = 3 - e;
