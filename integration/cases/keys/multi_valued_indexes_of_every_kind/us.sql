UPDATE t SET doc = '{"nums": [1, 2, 3, 4, 5], "days": ["2026-01-01"]}' WHERE id = 1;
DELETE FROM t WHERE id = 3;
INSERT INTO t (id, doc) VALUES (5, '{"nums": [1, 2]}');
