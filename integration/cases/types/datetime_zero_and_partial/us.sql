SET sql_mode = '';
UPDATE t SET a = '2024-05-00 00:00:00', c = 0;
