CREATE TABLE `a ``b" 'c` (`id``` INT PRIMARY KEY, `字 x` INT);
INSERT INTO `a ``b" 'c` VALUES (1, 1);
ALTER TABLE `a ``b" 'c` RENAME COLUMN `字 x` TO `select`, ADD COLUMN `/* no */` INT /* yes */ DEFAULT 3;
INSERT INTO `a ``b" 'c` VALUES (2, 2, 2);
/*!50000 CREATE TABLE */ `-- x` # a comment
 (id INT PRIMARY KEY);
INSERT INTO `-- x` VALUES (1);
