INSERT INTO a VALUES (1, 1), (2, 2), (3, 3), (4, 4);
INSERT INTO b VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30), (4, NULL, 40);
DELETE a, b FROM a JOIN b ON b.a = a.id WHERE a.id = 1;
