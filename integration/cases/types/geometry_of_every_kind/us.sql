UPDATE t SET g = ST_Buffer(p, 0), l = ST_GeomFromText('LINESTRING(9 9,8 8)') WHERE id = 3 OR id = 1;
UPDATE t SET g = POINT(5, 5) WHERE id = 2;
