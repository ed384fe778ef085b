UPDATE made SET d = 2.25, y = 2000;
INSERT INTO made (y, c, g) VALUES (2001, 'd', ST_SRID(POINT(3, 4), 4326));
