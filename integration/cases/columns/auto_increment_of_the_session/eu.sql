SET auto_increment_increment = 10, auto_increment_offset = 5;
INSERT INTO t (v) VALUES (1), (2);
SET insert_id = 1000;
INSERT INTO t (v) VALUES (3);
INSERT INTO log VALUES (1, LAST_INSERT_ID());
INSERT INTO log VALUES (2, LAST_INSERT_ID(77));
INSERT INTO log VALUES (3, LAST_INSERT_ID());
