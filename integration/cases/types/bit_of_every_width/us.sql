UPDATE t SET a = 1 - a, e = e ^ 1, m = ~m, k = k ^ 257;
