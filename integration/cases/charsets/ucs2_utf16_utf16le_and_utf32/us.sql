UPDATE t SET a = REVERSE(a), b = CONCAT(d, b), g = 3 - g, e = 'é';
