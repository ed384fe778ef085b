SET NAMES latin1;
INSERT INTO t VALUES (1, X'C3A9'), (2, _utf8mb4 X'F09F9880');
SET character_set_client = utf8mb3;
SET collation_connection = utf16_bin;
INSERT INTO t VALUES (3, 'abc');
SET character_set_connection = utf32;
INSERT INTO t VALUES (4, 'abc');
SET NAMES binary;
INSERT INTO t VALUES (5, 'abc');
