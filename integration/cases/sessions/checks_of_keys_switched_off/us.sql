SET foreign_key_checks = 0;
UPDATE p SET id = 3 WHERE id = 2;
UPDATE c SET p = 3 WHERE p = 2;
