SET NAMES sjis;
UPDATE t SET v = CONCAT(v, _utf8mb4 X'E8A1A8');
