SELECT COUNT(*) = 1 AND MAX(id) = 2 FROM t WHERE MATCH (body) AGAINST ('events');
SELECT COUNT(*) = 1 FROM u WHERE MATCH (body) AGAINST ('binlog');
