INSERT INTO t VALUES (1, 'plain', 1.5, X'00FF'), (2, 'tab\tnew\nline', NULL, X''), (3, 'quote "q" \\ back', -2, NULL), (4, '日本 é', 0, X'5C4E'), (5, NULL, 1, X'0A0D09');
SELECT id, v, n, HEX(b) FROM t INTO OUTFILE 'rows_of_eu.txt' CHARACTER SET utf8mb4;
LOAD DATA INFILE 'rows_of_eu.txt' INTO TABLE u CHARACTER SET utf8mb4 (id, v, n, @hex) SET b = UNHEX(@hex);
SELECT id, v FROM t INTO OUTFILE 'some_of_eu.csv' CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' ENCLOSED BY '"' LINES TERMINATED BY '\r\n';
LOAD DATA INFILE 'some_of_eu.csv' INTO TABLE w CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' ENCLOSED BY '"' LINES TERMINATED BY '\r\n' (id, @v) SET v = UPPER(@v), line = id * 2;
LOAD DATA INFILE 'rows_of_eu.txt' IGNORE INTO TABLE x CHARACTER SET binary (id, @dummy, @dummy, b);
