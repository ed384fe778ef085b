INSERT INTO t (id, u, n) VALUES (1, 'a', 1), (2, 'b', 1) ON DUPLICATE KEY UPDATE n = n + 1;
INSERT INTO t (u, n) VALUES ('A', 5), ('c', 5), ('c', 6) AS new ON DUPLICATE KEY UPDATE n = t.n + new.n;
