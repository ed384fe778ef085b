-- What the server sends for the rows of rows.sql in its text protocol, as `encode_value` takes it: protocol.bin is its output
-- under `mysql --batch --raw --skip-column-names --default-character-set=binary`. A FLOAT is asked for as a DOUBLE; types that
-- no key holds are left out.
SET character_set_results = NULL, time_zone = '+00:00';
USE v;
SELECT id,a,b,c,d,e,f,y,g,h,i,j,CAST(k AS DOUBLE),l,m,n,o,p,q,r,s FROM num ORDER BY id;
SELECT * FROM tim ORDER BY id;
SELECT * FROM str ORDER BY id;
SELECT id,a,b,c FROM mem ORDER BY id;
