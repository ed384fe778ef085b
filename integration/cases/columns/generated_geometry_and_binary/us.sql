UPDATE t SET x = x + 1;
