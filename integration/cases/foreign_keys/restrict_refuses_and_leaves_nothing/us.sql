-- error: 1451
UPDATE p SET a = 2 WHERE b = 'x';
DELETE FROM p WHERE b = 'y';
