UPDATE t SET v = UPPER(d), b = REVERSE(b);
