UPDATE t SET d = d DIV 2, n = 1, z = 0.01;
