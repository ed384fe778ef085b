UPDATE t SET v = v * 10, s = s ^ 3 ORDER BY k DESC LIMIT 1;
DELETE FROM t WHERE k = '能';
