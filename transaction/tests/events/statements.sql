-- What the events of this folder were made from, on MySQL 9.7.4 as scripts/mysql-start starts it (FULL metadata, CRC32). Each
-- FLUSH begins the next fixture, named in the comment before it; a fixture is the events of that binlog file after its
-- Previous_gtids event, without the closing Rotate.
SET NAMES utf8mb4;
CREATE DATABASE r;
USE r;
CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, note TEXT, doc JSON, UNIQUE (name));
CREATE TABLE pair (a VARCHAR(20), b INT UNSIGNED, v DECIMAL(10,2), g INT AS (b + 1) VIRTUAL, PRIMARY KEY (b, a));
CREATE TABLE bare (x INT, y VARCHAR(10));
CREATE DATABASE concord;
CREATE TABLE concord.marker (
  lane SMALLINT UNSIGNED NOT NULL, origin VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL, record BIGINT UNSIGNED NOT NULL, hlc BIGINT UNSIGNED NOT NULL,
  changes BIGINT UNSIGNED NOT NULL, row_changes BIGINT UNSIGNED NOT NULL, owner BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (lane, origin)) ENGINE = InnoDB;

-- fixture: plain
FLUSH BINARY LOGS;
source changes.sql

FLUSH BINARY LOGS;
SET SESSION binlog_transaction_compression = ON;
DELETE FROM item; DELETE FROM pair; DELETE FROM bare;
-- fixture: compressed
FLUSH BINARY LOGS;
source changes.sql
SET SESSION binlog_transaction_compression = OFF;

-- fixture: tagged
FLUSH BINARY LOGS;
SET gtid_next = 'AUTOMATIC:us';
BEGIN;
INSERT INTO concord.marker VALUES (0, 'us', 7, 9, 1700000000000000, 1, 0, 5);
INSERT INTO item VALUES (100, 'from us', NULL, NULL);
UPDATE concord.marker SET changes = changes + 1, row_changes = 1;
COMMIT;
SET gtid_next = 'AUTOMATIC:a2345678901234567890123456789012';
INSERT INTO bare VALUES (9, 'longest');
SET gtid_next = 'AUTOMATIC';

-- fixture: ddl
FLUSH BINARY LOGS;
CREATE TABLE later (id INT PRIMARY KEY, c CHAR(8));
CREATE TABLE copied (PRIMARY KEY (id)) SELECT id, name FROM item;
ALTER TABLE later ADD COLUMN d DATE, ALGORITHM = INPLACE;
TRUNCATE TABLE bare;
/* past a comment */ DROP TABLE later;

-- fixture: accounts
FLUSH BINARY LOGS;
CREATE USER 'someone'@'localhost' IDENTIFIED BY 'x';
GRANT SELECT ON r.* TO 'someone'@'localhost';
SET PASSWORD FOR 'someone'@'localhost' = 'y';
ANALYZE TABLE item;
OPTIMIZE TABLE bare;
FLUSH PRIVILEGES;
DROP USER 'someone'@'localhost';

-- fixture: own
FLUSH BINARY LOGS;
UPDATE concord.marker SET row_changes = 0 WHERE origin = 'nobody';
SET gtid_next = 'AUTOMATIC:_concord';
CREATE TABLE concord.probe (id INT PRIMARY KEY);
INSERT INTO concord.probe VALUES (1);
DROP TABLE concord.probe;
SET gtid_next = 'AUTOMATIC';
SET gtid_next = '3e11fa47-71ca-11e1-9e33-c80aa9429562:17'; BEGIN; COMMIT; SET gtid_next = 'AUTOMATIC';

-- fixture: statement
FLUSH BINARY LOGS;
SET SESSION binlog_format = STATEMENT;
INSERT INTO bare VALUES (77, 'text');
SET SESSION binlog_format = ROW;

-- fixture: xa
FLUSH BINARY LOGS;
XA START 'a'; INSERT INTO bare VALUES (78, 'xa'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a';

-- fixture: minimal_update
FLUSH BINARY LOGS;
SET SESSION binlog_row_image = MINIMAL;
UPDATE item SET note = 'only this' WHERE id = 100;

-- fixture: minimal_delete
FLUSH BINARY LOGS;
DELETE FROM item WHERE id = 100;
SET SESSION binlog_row_image = FULL;

-- fixture: partial_json
FLUSH BINARY LOGS;
INSERT INTO item VALUES (200, 'j', NULL, '{"a": "aaaaaaaaaaaaaaaaaaaa", "b": "bbbbbbbbbbbbbbbbbbbbb"}');
SET SESSION binlog_row_value_options = PARTIAL_JSON;
UPDATE item SET doc = JSON_SET(doc, '$.a', 'c') WHERE id = 200;
SET SESSION binlog_row_value_options = '';

SET GLOBAL binlog_row_metadata = MINIMAL;
-- fixture: minimal_metadata
FLUSH BINARY LOGS;
INSERT INTO bare VALUES (79, 'no names');
SET GLOBAL binlog_row_metadata = FULL;

-- This begins a new file. fixture: unchecked
SET GLOBAL binlog_checksum = NONE;
INSERT INTO item VALUES (300, 'no checksum', NULL, NULL);
SET GLOBAL binlog_checksum = CRC32;
