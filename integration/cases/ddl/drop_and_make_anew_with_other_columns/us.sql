DELETE FROM t WHERE name = 'A';
