-- What the events of repair.bin were made from, on MySQL 9.7.4 as scripts/mysql-start starts it: the events of one binlog file
-- after its Previous_gtids event. Schema concord is made by applier/src/tables.rs; MAP, DELETED and UPDATED stand for the bytes of
-- events that the server wrote for a delete of row 1 and an update of row 2 of r.t, without their checksums.
CREATE DATABASE r;
CREATE TABLE r.t (id INT PRIMARY KEY, v INT, name VARCHAR(20));
INSERT INTO concord.marker VALUES (0, 'us', 6, 9, 1700000000000000, 1, 0, 5);
INSERT INTO r.t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
FLUSH BINARY LOGS;

-- Applied work with two repairs.
SET gtid_next = 'AUTOMATIC:us';
BEGIN;
UPDATE concord.marker SET sequence = 7, changes = changes + 1;
UPDATE r.t SET name = 'z' WHERE id = 3;
INSERT INTO concord.repair VALUES (0, 1699999999999995, 'us', 6, 0, 1, MAP DELETED);
INSERT INTO concord.repair VALUES (1, 1699999999999995, 'us', 6, 1, 1, MAP UPDATED);
DELETE FROM concord.repair;
UPDATE concord.marker SET changes = changes + 1, row_changes = 1;
COMMIT;
SET gtid_next = 'AUTOMATIC';

-- Someone who is no lane.
BEGIN;
INSERT INTO concord.repair VALUES (0, 1699999999999995, 'us', 6, 0, 1, MAP DELETED);
DELETE FROM concord.repair;
COMMIT;
