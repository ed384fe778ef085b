INSERT INTO t VALUES (1, '{"tags": ["a", "b"], "nums": [1, 2]}'), (2, '{"tags": [], "nums": [3]}'), (3, '{}'), (4, NULL);
