-- What partial_updates.bin (the first part) and partial_compressed.bin (the second) were made from, on MySQL 9.7.4 as
-- scripts/mysql-start starts it; a fixture is cut as statements.sql says. Every change of `doc` in part is followed by one that
-- leaves `doc` as it is and is logged whole: its before images say what the server made of the documents.
SET NAMES utf8mb4;
CREATE DATABASE r;
USE r;
CREATE TABLE doc (id INT PRIMARY KEY, a JSON, n INT NOT NULL DEFAULT 0, b JSON, g INT AS (JSON_LENGTH(a)) VIRTUAL);
CREATE TABLE heap (a JSON, n INT NOT NULL DEFAULT 0);
INSERT INTO doc (id, a, b) VALUES
  (1, '{"n": 1, "pad": "pppppppppppppppppppppppppppppppppppppppppppppppppppp", "list": [1, 2.5, "three", null, true, [], {}]}', '[]'),
  (2, '{"deep": {"er": [{"x": [0, [1, [2, {"y": "here"}]]]}]}, "pad": "pppppppppppppppppppppppppppppppppppppppppppppppppp"}', NULL),
  (3, '{"": "empty", "a.b": 1, "q\\"q": 2, "[0]": 3, "ключ": 4, "日本": 5, "a b": 6, "back\\\\slash": 7, "new\\nline": 8, "$": 9, "é\\u0001": 10}', '{}'),
  (4, JSON_ARRAY(CAST('2026-01-02' AS DATE), CAST('2026-01-02 03:04:05.678901' AS DATETIME(6)), CAST('-12:34:56' AS TIME), CAST(1234.5678 AS DECIMAL(10,4)), x'00ff', 18446744073709551615, -9223372036854775808, 70000, -70000, 1e308, -0.0), '{"s": 1}'),
  (6, '7', '"text"');
INSERT INTO heap (a) SELECT a FROM doc WHERE id < 5;
FLUSH BINARY LOGS;

SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_SET(a, '$.n', 2) WHERE id = 1;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_REPLACE(a, '$.list[2]', 'drei', '$.list[last]', JSON_OBJECT('k', JSON_ARRAY(1, 2))) WHERE id = 1;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_REMOVE(JSON_SET(a, '$.new', 'member', '$.zz', -1), '$.list[0]', '$.list[last-1]', '$.n') WHERE id = 1;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_SET(a, '$.deep.er[0].x[1][1][1].y', 'there and further away than before', '$.deep.er[0].x[1][1][1].z', 1.0) WHERE id = 2;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 2; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_REMOVE(a, '$.deep.er[0].x[1][1][0]'), b = JSON_SET(b, '$.x', 1) WHERE id = 2;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 2; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_SET(a, '$.""', 'x', '$."a.b"', 'x', '$."q\\"q"', 'x', '$."[0]"', 'x', '$."ключ"', 'x', '$."日本"', 'x', '$."a b"', 'x', '$."$"', 'x') WHERE id = 3;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 3; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_REMOVE(JSON_SET(a, '$."back\\\\slash"', 'x', '$."new\\nline"', JSON_ARRAY(), '$."é\\u0001"', FALSE, '$."日"', NULL), '$."ключ"', '$.""') WHERE id = 3;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 3; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_ARRAY_INSERT(a, '$[0]', 'first', '$[last]', 'before the last', '$[100]', 'last') WHERE id = 4;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 4; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_SET(a, '$[100]', CAST('1999-12-31' AS DATE), '$[1]', CAST(0.1 AS DECIMAL(3,2)), '$[last-3]', 32768) WHERE id = 4;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id = 4; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET a = JSON_SET(a, '$[0]', 8), b = JSON_SET(b, '$.s', 2) WHERE id IN (4, 6);
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1 WHERE id IN (4, 6); SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE heap SET a = JSON_SET(a, '$.n', 2, '$.list[1]', 'x', '$[0]', 'y');
SET SESSION binlog_row_value_options = ''; UPDATE heap SET n = n + 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET b = NULL, a = JSON_SET(a, '$.n', 3);
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET b = '{"whole": "document"}', a = JSON_SET(a, '$.n', 'a longer text');
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE doc SET n = n + 1;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1; SET SESSION binlog_row_value_options = PARTIAL_JSON;

FLUSH BINARY LOGS;
SET SESSION binlog_transaction_compression = ON, SESSION binlog_rows_query_log_events = ON;
BEGIN;
UPDATE doc SET a = JSON_SET(a, '$.n', 4, '$.compressed', TRUE) WHERE id IN (1, 2);
UPDATE heap SET n = n + 1;
UPDATE doc SET a = JSON_REMOVE(a, '$.n') WHERE id = 1;
COMMIT;
SET SESSION binlog_row_value_options = ''; UPDATE doc SET n = n + 1;
