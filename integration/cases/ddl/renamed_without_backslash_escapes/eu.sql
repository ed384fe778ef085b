-- The stored default has an escaped quote, which the server cannot read in this mode when it opens the table anew.
INSERT INTO parent (id) VALUES (1);
SET sql_mode = 'NO_BACKSLASH_ESCAPES';
RENAME TABLE child TO kid;
ALTER TABLE kid ADD COLUMN x VARCHAR(9) DEFAULT '\';
RENAME TABLE parent TO elder;
TRUNCATE TABLE kid;
SET sql_mode = DEFAULT;
INSERT INTO kid (id, p) VALUES (1, 1);
