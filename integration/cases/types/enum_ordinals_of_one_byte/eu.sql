INSERT INTO t (id, e) VALUES (1, 'one'), (2, 2), (3, ''), (4, 'ünï'), (5, 'a,b'), (6, 'it''s'), (7, NULL);
SET sql_mode = '';
INSERT INTO t VALUES (8, 'no such member', 'neither');
