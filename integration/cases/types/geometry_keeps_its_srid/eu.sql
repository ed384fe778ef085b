INSERT INTO t VALUES (1, ST_GeomFromText('POINT(52.5 13.4)', 4326), ST_GeomFromText('POINT(1 1)', 3857)), (2, ST_GeomFromText('LINESTRING(0 0,10 10)', 4326), ST_GeomFromText('POINT(1 1)', 0));
INSERT INTO t SELECT id + 10, ST_GeomFromText(CONCAT('POINT(', id, ' ', id, ')'), 4326), NULL FROM t;
