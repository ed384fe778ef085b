SET NAMES latin1;
CREATE TABLE small (id INT PRIMARY KEY, e ENUM('a','b') DEFAULT 'b') COMMENT 'latin1 client';
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE `größe` (id INT PRIMARY KEY, `maß` VARCHAR(9) DEFAULT 'ß');
INSERT INTO `größe` (id) VALUES (1);
INSERT INTO small (id) VALUES (1);
