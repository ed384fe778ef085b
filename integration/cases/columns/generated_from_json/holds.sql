SELECT COUNT(*) = 1 FROM t FORCE INDEX (name) WHERE name = 'c';
