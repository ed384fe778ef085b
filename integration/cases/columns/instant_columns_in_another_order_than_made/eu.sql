INSERT INTO t (a, id, m, z) VALUES (5, 1, 'm', 'z'), (NULL, 2, NULL, NULL);
