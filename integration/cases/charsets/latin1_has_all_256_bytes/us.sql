UPDATE t SET v = CONCAT(v, _latin1 X'80'), e = 3 - e;
