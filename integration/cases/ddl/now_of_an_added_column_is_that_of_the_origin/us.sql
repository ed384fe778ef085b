UPDATE t SET v = 'us' WHERE id = 1;
