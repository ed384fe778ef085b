INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO c VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 3, 'c');
DELETE FROM p WHERE id = 1;
