SELECT COUNT(*) = 1 FROM t WHERE 'c' MEMBER OF (doc->'$.tags');
SELECT id = 2 FROM t WHERE 1 MEMBER OF (doc->'$.nums');
