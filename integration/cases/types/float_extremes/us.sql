UPDATE t SET f = f / 3 WHERE id > 2;
