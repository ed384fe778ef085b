UPDATE t SET v = c, e = 'a' WHERE id = 1;
