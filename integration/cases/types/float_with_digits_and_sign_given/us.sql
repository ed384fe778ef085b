UPDATE t SET a = a / 3, b = b / 3, c = 0.1, d = 0.1;
