UPDATE t SET v = v * 10 WHERE k IN ('a ', ' ');
DELETE FROM t WHERE k = 'a';
