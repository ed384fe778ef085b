SELECT COUNT(*) = 5 FROM t JOIN u USING (id) WHERE t.v <=> u.v AND t.b <=> u.b;
SELECT COUNT(*) = 5 FROM w;
