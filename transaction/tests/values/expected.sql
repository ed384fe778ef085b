-- What the server itself shows for the rows of rows.sql, binary and non-UTF-8 columns in hexadecimal; to be run with -BN.
SET NAMES utf8mb4;
SET time_zone = '+00:00';
USE v;
SELECT 'num',id,a,b,c,d,e,f,y,g,h,i,j,k,l,m,n,o,p,CONCAT("b'",BIN(q),"'"),CONCAT("b'",BIN(r),"'"),CONCAT("b'",BIN(s),"'") FROM num ORDER BY id;
SELECT 'tim',t.* FROM tim t ORDER BY id;
SELECT 'str',id,a,b,c,IF(HEX(d)='E9',"x'e9'",d),IF(id=1,CONCAT("x'",LOWER(HEX(e)),"'"),e),f,g,CONCAT("x'",LOWER(HEX(h)),"'"),
  CONCAT("x'",LOWER(HEX(i)),"'"),CONCAT("x'",LOWER(HEX(j)),"'"),CONCAT("x'",LOWER(HEX(k)),"'"),l FROM str ORDER BY id;
SELECT 'mem',id,a,b,REPLACE(REPLACE(c,'é',"x'e9'"),'ü',"x'fc'"),CONCAT("x'",LOWER(HEX(d)),"'"),CONCAT("x'",LOWER(HEX(e)),"'") FROM mem ORDER BY id;
SELECT 'js',j.* FROM js j ORDER BY id;
