UPDATE t SET cc = cc + 1, e = NULL WHERE id <> 3;
DELETE FROM t WHERE id = 3;
