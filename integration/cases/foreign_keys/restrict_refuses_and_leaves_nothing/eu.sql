INSERT INTO p VALUES (1, 'x'), (1, 'y');
BEGIN;
INSERT INTO c VALUES (1, 1, 'X'), (2, NULL, 'nope'), (3, 7, NULL);
-- error: 1452
INSERT INTO c VALUES (4, 1, 'y'), (5, 1, 'z');
-- error: 1451
DELETE FROM p;
COMMIT;
