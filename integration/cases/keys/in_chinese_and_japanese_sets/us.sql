UPDATE a SET k = 'ABC' WHERE k = 'abc';
UPDATE a SET v = v * 10;
UPDATE b SET k = 'ABC' WHERE k = 'abc';
DELETE FROM b WHERE v = 2;
UPDATE c SET k = '国' WHERE v = 1;
UPDATE d SET k = 'E' WHERE k = 'é';
DELETE FROM d WHERE v = 1;
UPDATE e SET k = 'ABC' WHERE k = 'abc';
