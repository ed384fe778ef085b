INSERT INTO a VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO b VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30), (4, NULL, 40);
UPDATE a JOIN b ON b.a = a.id SET a.v = a.v + b.v, b.v = b.v + a.v;
