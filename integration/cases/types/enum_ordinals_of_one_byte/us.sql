UPDATE t SET e = e + 1 WHERE e < 6 AND e > 0;
