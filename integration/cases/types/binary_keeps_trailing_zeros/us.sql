UPDATE t SET a = REVERSE(a), b = CONCAT(a, a);
