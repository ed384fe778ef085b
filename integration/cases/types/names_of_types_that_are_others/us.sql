UPDATE t SET a = a + 1, l = 'é', j = X'00FF';
