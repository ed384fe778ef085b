UPDATE t SET k = 'ABC' WHERE k = 'abc';
UPDATE t SET k = 'ao' WHERE v = 2;
REPLACE INTO t VALUES ('X  ', 5);
