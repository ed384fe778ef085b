UPDATE t SET a = a + 10, b = b + 10;
