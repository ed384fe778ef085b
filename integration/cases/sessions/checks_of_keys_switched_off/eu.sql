SET foreign_key_checks = 0, unique_checks = 0;
INSERT INTO c VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO p VALUES (1), (2);
