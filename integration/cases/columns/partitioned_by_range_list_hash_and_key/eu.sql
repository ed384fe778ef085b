INSERT INTO r VALUES (1, '2024-12-31', 1), (1, '2025-01-01', 2), (2, '2024-06-01', 3);
INSERT INTO l VALUES (0, 0), (1, 1), (2, 2), (3, 3);
INSERT INTO h (v) VALUES (1), (2), (3), (4), (5), (6), (7), (8);
INSERT INTO k VALUES ('a', 1), ('b', 2), ('C', 3), ('d', 4);
INSERT INTO s VALUES (1, 1, 1), (11, 2, 2), (1, 2, 3);
