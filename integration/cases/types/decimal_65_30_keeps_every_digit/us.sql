UPDATE t SET d = -d;
