SET time_zone = '+05:45';
UPDATE t SET ts = ts + INTERVAL 1 HOUR, d = ts;
