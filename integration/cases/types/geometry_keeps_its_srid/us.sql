UPDATE t SET g = ST_GeomFromText('POINT(-33.9 151.2)', 4326), f = ST_SRID(f, 4326) WHERE id = 2;
DELETE FROM t WHERE id = 11;
