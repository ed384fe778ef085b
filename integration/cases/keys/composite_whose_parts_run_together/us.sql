UPDATE t SET v = v * 10 WHERE a = 'a';
DELETE FROM t WHERE a = '';
UPDATE u SET v = v * 10;
DELETE FROM u WHERE a = X'00';
