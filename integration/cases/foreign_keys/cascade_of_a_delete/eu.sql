INSERT INTO p VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO c VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
INSERT INTO g VALUES (1, 1), (2, 2), (3, 3), (4, 3);
DELETE FROM p WHERE id = 1;
