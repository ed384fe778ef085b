UPDATE a, b SET a.v = 0, b.v = 0 WHERE a.id = b.id;
UPDATE a LEFT JOIN b ON b.a = a.id SET a.v = 77 WHERE b.id IS NULL;
UPDATE b JOIN (SELECT MAX(v) AS m FROM a) AS x SET b.v = x.m WHERE b.id = 4;
