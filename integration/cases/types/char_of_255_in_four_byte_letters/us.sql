UPDATE t SET a = REPEAT('z', 63), b = a, c = CONCAT(b, a), d = REVERSE(d);
