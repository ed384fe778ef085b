INSERT INTO t VALUES (TO_VECTOR('[1,2]'), 'Ä', 'é', NULL, x'ff00', 'one'), (NULL, 'a', NULL, TO_VECTOR('[0]'), NULL, NULL), (NULL, 'A', 'x', NULL, '', 'Ä');
UPDATE t SET last = 'two', name = 'ä' WHERE name = 'Ä';
