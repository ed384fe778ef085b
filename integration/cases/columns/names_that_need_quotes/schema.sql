CREATE TABLE `select` (`from` INT PRIMARY KEY, `where ``x`` "y" 'z'` INT, `a.b` INT, `1` INT, ` lead` INT, `ключ` INT, `😊no` INT);
CREATE TABLE `a.b` (`order` INT PRIMARY KEY, `%` INT);
CREATE TABLE `t;--x` (`/*` INT PRIMARY KEY, `\n` INT);
