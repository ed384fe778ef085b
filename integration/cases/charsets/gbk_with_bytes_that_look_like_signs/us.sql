UPDATE t SET x = CONCAT(v, x), e = 3 - e;
