-- The transactions of shop.bin, as typed into MySQL 9.7.4 with binlog_row_metadata = FULL: the events of the binlog file that
-- they went to, from the first Gtid event on.
SET NAMES utf8mb4;
CREATE DATABASE shop;
USE shop;
CREATE TABLE stock (item INT PRIMARY KEY, place ENUM('eu','us'), price DECIMAL(10,2), note VARCHAR(100), extra JSON);
INSERT INTO stock VALUES (1, 'eu', 9.50, 'old', NULL), (2, 'us', 1, 'it''s', '{"a": 1}');
FLUSH BINARY LOGS;
CREATE TABLE log (at DATETIME(3), what TEXT);
BEGIN;
INSERT INTO stock VALUES (3, 'eu', 0.10, 'ü', '[1, 2.5]');
UPDATE stock SET price = 10.00, note = 'new' WHERE item = 1;
DELETE FROM stock WHERE item = 2;
INSERT INTO log VALUES ('2024-02-29 12:34:56.789', NULL);
DELETE FROM log;
COMMIT;
