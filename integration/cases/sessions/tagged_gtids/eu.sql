SET gtid_next = 'AUTOMATIC:app';
INSERT INTO t VALUES (1, 1);
BEGIN;
INSERT INTO t VALUES (2, 2);
COMMIT;
SET gtid_next = 'AUTOMATIC:another_tag_of_exactly_32_letter';
INSERT INTO t VALUES (3, 3);
SET gtid_next = 'AUTOMATIC';
INSERT INTO t VALUES (4, 4);
