UPDATE t SET e = e / 2, l = l / 3, n = n / 7;
