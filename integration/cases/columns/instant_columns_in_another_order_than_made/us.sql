UPDATE t SET a = 2, z = m;
