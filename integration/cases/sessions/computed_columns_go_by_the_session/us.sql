SET time_zone = '+09:00';
UPDATE t SET ts = '2024-07-01 01:00:00', c = 'x';
DELETE FROM t WHERE id = 3;
