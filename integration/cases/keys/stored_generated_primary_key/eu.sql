INSERT INTO t (doc, n) VALUES ('{"id": "a", "x": 1}', 1), ('{"id": "b"}', 2), ('{"id": "c"}', 3);
