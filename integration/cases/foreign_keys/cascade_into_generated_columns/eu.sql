INSERT INTO p VALUES (1), (2);
INSERT INTO c (id, p) VALUES (1, 1), (2, 2), (3, 2);
UPDATE p SET id = 5 WHERE id = 2;
