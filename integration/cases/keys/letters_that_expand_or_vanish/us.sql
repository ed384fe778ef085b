UPDATE t SET k = 'SS' WHERE v = 1;
UPDATE t SET k = '1' WHERE v = 2;
UPDATE t SET k = 'ffi' WHERE v = 3;
UPDATE t SET k = 'ae' WHERE v = 4;
UPDATE t SET k = 'E' WHERE v = 5;
DELETE FROM t WHERE k = '😀';
UPDATE t SET v = v + 100 WHERE v > 5;
