BEGIN;
UPDATE c SET v = 9;
UPDATE a, b SET a.v = 8, b.v = 7;
COMMIT;
