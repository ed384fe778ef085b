UPDATE t SET c2 = 2, c999 = 'end', c500 = NULL;
DELETE FROM t WHERE id = 2;
