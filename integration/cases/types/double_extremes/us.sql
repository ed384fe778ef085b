UPDATE t SET d = d / 3 WHERE id > 2;
