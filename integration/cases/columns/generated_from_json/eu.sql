INSERT INTO t (id, doc) VALUES (1, '{"name": "a", "n": 1}'), (2, '{"name": "b"}'), (3, '{}');
