UPDATE a SET v = v * 10;
UPDATE b SET k = k - 1 WHERE k > 0;
UPDATE c SET k = k + 1 WHERE k < 0 ORDER BY k DESC;
DELETE FROM d WHERE k = -1;
UPDATE e SET v = v * 10 WHERE k > 5;
