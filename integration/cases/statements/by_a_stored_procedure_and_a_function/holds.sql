SELECT COUNT(*) = 1 FROM log WHERE what = 'undone';
SELECT COUNT(*) = 0 FROM t WHERE id = 9999;
