UPDATE b SET v = v * 10;
UPDATE b SET k = 511 WHERE k = 512;
UPDATE e SET v = v * 10;
DELETE FROM e WHERE k = 'a';
UPDATE s SET v = v * 10;
UPDATE s SET k = 'b' WHERE k = 'a,c';
