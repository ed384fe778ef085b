UPDATE t SET d = CONCAT(c, X'00'), b = a WHERE id = 1;
