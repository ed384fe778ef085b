UPDATE `select` SET `where ``x`` "y" 'z'` = 9, `ключ` = 10 WHERE `from` = 1;
DELETE FROM `a.b` WHERE `%` = 2;
UPDATE `t;--x` SET `\n` = 5;
