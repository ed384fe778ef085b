INSERT INTO b VALUES (0, 1), (1, 2), (1023, 3), (512, 4);
INSERT INTO e VALUES ('z', 1), ('a', 2), ('M', 3), ('', 4);
INSERT INTO s VALUES ('', 1), ('a', 2), ('a,c', 3), ('a,b,c', 4);
