INSERT INTO t (id, x, y) VALUES (1, 1.5, -2.5), (255, 0, 0);
